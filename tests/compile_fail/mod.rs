//! What must not compile, and what the compiler says about it.
//!
//! Each file in `cases` is a program. Its lines that begin with `//~ ` are parts of what the compiler says, in this order. A
//! program without such a line compiles. So a case does not depend on how a version of the compiler draws an error.
//!
//! `trybuild` would do the same. It builds all dependencies and dev-dependencies a second time, in a folder of its own, and
//! this takes minutes. These cases are compiled against the library that this test itself was built with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::support::pages::at;

/// The library, and what the compiler needs to read it.
struct Compiler {
    library: PathBuf,
    dependencies: PathBuf,
    out: tempfile::TempDir,
}

impl Compiler {
    /// The newest build of the library whose features suffice for the case that compiles.
    fn find() -> Self {
        let dependencies = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let mut libraries: Vec<_> = fs::read_dir(&dependencies)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("libbridge_auth-") && name.ends_with(".rlib")
            })
            .collect();
        libraries.sort_by_key(|path| {
            fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
        });
        let sound = at("tests/compile_fail/cases/sound.rs");
        let mut said = String::from("there is no library");
        while let Some(library) = libraries.pop() {
            let compiler =
                Self { library, dependencies: dependencies.clone(), out: tempfile::tempdir().unwrap() };
            match compiler.compile(&sound) {
                Ok(()) => return compiler,
                Err(error) => said = error,
            }
        }
        panic!("{} does not compile: {said}", sound.display());
    }

    /// `Err` is what the compiler says.
    fn compile(&self, program: &Path) -> Result<(), String> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let name = program.file_stem().unwrap();
        let output = Command::new(rustc)
            .args([
                "--edition",
                "2024",
                "--crate-type",
                "lib",
                "--emit",
                "metadata",
                "--diagnostic-width",
                "1000",
            ])
            .arg("-L")
            .arg(format!("dependency={}", self.dependencies.display()))
            .arg("--extern")
            .arg(format!("bridge_auth={}", self.library.display()))
            .arg("-o")
            .arg(self.out.path().join(name).with_extension("rmeta"))
            .arg(program)
            .output()
            .unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
    }
}

/// Holds one program to its lines. `Err` says what is otherwise.
fn check(compiler: &Compiler, program: &Path) -> Result<(), String> {
    let text = fs::read_to_string(program).unwrap();
    let expected: Vec<_> = text.lines().filter_map(|line| line.trim_start().strip_prefix("//~ ")).collect();
    let said = match compiler.compile(program) {
        Ok(()) if expected.is_empty() => return Ok(()),
        Ok(()) => return Err("it compiles".to_owned()),
        Err(said) if expected.is_empty() => return Err(said),
        Err(said) => said,
    };
    let mut rest = &*said;
    for part in expected {
        let Some((_, after)) = rest.split_once(part) else {
            return Err(format!("the compiler does not say {part:?}, or says it elsewhere:\n{said}"));
        };
        rest = after;
    }
    Ok(())
}

#[test]
fn what_must_not_compile_does_not_and_the_compiler_says_what_to_write() {
    let compiler = Compiler::find();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(at("tests/compile_fail/cases")).unwrap() {
        let program = entry.unwrap().path();
        count += 1;
        if let Err(why) = check(&compiler, &program) {
            wrong.push(format!("{}: {why}", program.display()));
        }
    }
    assert!(count > 15, "only {count} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
