//! What a release promises: its links, the Rust that it needs, and scripts that say what they lack.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::links::targets;
use crate::support::pages::{at, read};

/// The folders of the repository that a page may name.
const FOLDERS: [&str; 9] =
    [".ci/", "benches/", "docs/", "examples/", "fuzz/", "migrations/", "src/", "tests/", "target/"];

fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let output =
        Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// On crates.io a relative link leads to the repository. Whoever has only the package follows it too.
#[test]
fn every_link_of_the_packaged_pages_leads_into_the_package() {
    let list = cargo(&["package", "--list", "--allow-dirty", "--offline", "--package", "bridge-auth"]);
    let files: BTreeSet<&str> = list.lines().collect();
    assert!(files.contains("README.md") && files.contains("docs/guide/first-gateway.md"), "{list}");
    let is_inside = |path: &str| {
        let folder = format!("{}/", path.trim_end_matches('/'));
        files.contains(path) || files.iter().any(|file| file.starts_with(&folder))
    };
    let mut found = 0;
    for page in files.iter().filter(|file| file.ends_with(".md") && !file.starts_with("src/")) {
        let folder = Path::new(page).parent().unwrap();
        let text = read(page);
        let defined = text.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.1));
        for target in targets(&text).chain(defined).filter(|target| !target.contains("://")) {
            let path = target.split_once('#').map_or(target, |(path, _)| path);
            if path.is_empty() {
                continue;
            }
            let path = normal(&folder.join(path));
            assert!(is_inside(&path), "{page} links to {path}, which Cargo.toml's `include` leaves out");
            found += 1;
        }
    }
    assert!(found > 40, "only {found} links were found");
}

/// A path without `..`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().map(|part| part.to_str().unwrap()) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn what_benchmarks_cites_is_in_the_repository() {
    let files = tracked();
    let page = read("BENCHMARKS.md");
    let cited = page.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
    let named = page.split(|c: char| c.is_whitespace() || "()`|,".contains(c));
    let mut found = 0;
    for path in cited.chain(named).filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder))) {
        let path = path.trim_end_matches(['.', ':', ';']);
        assert!(files.iter().any(|file| is_at(file, path)), "BENCHMARKS.md cites {path}, which is not there");
        found += 1;
    }
    assert!(found > 8, "only {found} files are cited");
}

/// Whether `file` is what `path` names, or inside it.
fn is_at(file: &str, path: &str) -> bool {
    file.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The files that git knows.
fn tracked() -> Vec<String> {
    let output =
        Command::new("git").args(["ls-files"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The table "Which Rust" of README, compared with what the locked dependencies of each feature say that they need.
#[test]
fn each_feature_needs_the_rust_that_readme_says() {
    let metadata = cargo(&["metadata", "--format-version", "1", "--offline", "--locked", "--all-features"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"] == "bridge-auth").unwrap();
    let of_package = |package: &Value| {
        let key = format!("{} v{}", package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        (key, version(package["rust_version"].as_str().unwrap_or("1.0")))
    };
    let needs: HashMap<String, [u32; 2]> = packages.iter().map(of_package).collect();
    let own = version(ours["rust_version"].as_str().unwrap());
    let stated = stated();
    let features = ours["features"].as_object().unwrap().keys();
    let mut least = [u32::MAX; 2];
    for feature in features.map(String::as_str).chain([""]) {
        let (needed, by) = needed(feature, &needs);
        let needed = needed.max(own);
        least = least.min(needed);
        let says = stated.get(feature).or_else(|| stated.get("all others")).unwrap();
        assert_eq!(
            *says, needed,
            "README says that `{feature}` needs Rust {says:?}, and {by} needs {needed:?} (its `rust-version`)"
        );
    }
    assert_eq!(own, least, "`rust-version` in Cargo.toml is what the least demanding feature needs");
}

/// The newest Rust that a dependency of `feature` needs, and that dependency.
fn needed(feature: &str, needs: &HashMap<String, [u32; 2]>) -> ([u32; 2], String) {
    let tree = cargo(&[
        "tree",
        "--offline",
        "--locked",
        "--package",
        "bridge-auth",
        "--edges",
        "normal,build",
        "--target",
        "all",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--no-default-features",
        "--features",
        feature,
    ]);
    let names = tree.lines().skip(1).map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    let known = names.filter_map(|name| Some((*needs.get(&name)?, name)));
    known.max().unwrap()
}

fn version(text: &str) -> [u32; 2] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    [parts.next().unwrap(), parts.next().unwrap_or_default()]
}

/// Each feature that the table names, and `all others`, with its Rust.
fn stated() -> BTreeMap<String, [u32; 2]> {
    let page = read("README.md");
    let (_, table) = page.split_once("| feature | Rust |").expect("README has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut stated = BTreeMap::new();
    for row in rows {
        let [features, rust] = [1, 2].map(|cell| row.split('|').nth(cell).unwrap().trim());
        let rust = version(rust.split(&[' ', ',']).next().unwrap());
        for feature in features.split(", ") {
            stated.insert(feature.trim_matches('`').to_owned(), rust);
        }
    }
    stated
}

/// Only the owner knows the address. Nothing is built or installed before the check says so.
#[test]
fn the_release_check_fails_without_the_address_and_says_what_else_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let check = |manifest: &str, changelog: &str, guide: &str| {
        let inside = |file: &str| folder.path().join(file);
        for path in [".ci", "docs", "examples", "src"] {
            std::fs::create_dir_all(inside(path)).unwrap();
        }
        for script in [".ci/release", ".ci/tools"] {
            std::fs::copy(at(script), inside(script)).unwrap();
        }
        let pages = "https://git.example/b/security/advisories/new";
        for (file, text) in [
            ("Cargo.toml", manifest),
            ("CHANGELOG.md", changelog),
            ("docs/guide.md", guide),
            ("README.md", ""),
            ("CONTRIBUTING.md", ""),
            ("SECURITY.md", pages),
        ] {
            std::fs::write(inside(file), text).unwrap();
        }
        // Its own git knows no tag and no change.
        std::fs::write(inside("git"), "#!/bin/sh\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(inside("git"), executable).unwrap();
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(inside(".ci/release"));
        let output = command.args(["--only", "manifest"]).env("PATH", path).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty(), "{told}");
        assert_eq!(output.status.success(), told.is_empty(), "{told}");
        told
    };
    let (without, with) =
        ("version = \"0.1.0\"\n", "version = \"0.1.0\"\nrepository = \"https://git.example/b\"\n");
    let dated = "## [0.1.0] - 2027-01-31\n\n- All.\n";
    assert_eq!(check(with, dated, ""), "");
    assert_eq!(check(with, &format!("## Unreleased\n\n{dated}"), ""), "");
    for (manifest, changelog, guide, words) in [
        (without, dated, "", "Cargo.toml has no `repository`: only the owner knows the address"),
        (with, "## [0.1.0] - unreleased\n", "", "CHANGELOG.md has no date for 0.1.0"),
        (with, "", "", "CHANGELOG.md has no section for 0.1.0"),
        (
            with,
            &format!("## Unreleased\n\n### Added\n\n- More.\n\n{dated}"),
            "",
            "CHANGELOG.md has lines under \"Unreleased\", above 0.1.0, which is not released yet",
        ),
        (
            with,
            dated,
            "Until the first release, write `path`.",
            "these lines say what ends with the first release",
        ),
    ] {
        let told = check(manifest, changelog, guide);
        assert!(told.contains(words), "{words}: {told}");
    }
    // This very tree.
    let own = Command::new(at(".ci/release")).args(["--only", "manifest"]).output().unwrap();
    let told = String::from_utf8(own.stderr).unwrap();
    let has_address = read("Cargo.toml").lines().any(|line| line.starts_with("repository = "));
    assert!(has_address || told.contains("Cargo.toml has no `repository`"), "{told}");
}

/// A person without root learns it before the first failure, and all at once.
#[test]
fn the_test_script_says_all_that_is_missing_and_installs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for program in ["bash", "cat", "cut", "dirname", "grep", "head", "id", "uname"] {
        let output = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap();
        let path = String::from_utf8(output.stdout).unwrap();
        std::os::unix::fs::symlink(path.trim(), folder.path().join(program)).unwrap();
    }
    std::fs::write(folder.path().join("apt-get"), "#!/bin/sh\nexit 1\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path().join("apt-get"), executable).unwrap();
    let output = Command::new(folder.path().join("bash"))
        .arg(at(".ci/test"))
        .arg("--no-install")
        .env("PATH", folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for missing in
        ["a C compiler: build-essential", "openssl", "curl", "nodejs npm", "chromium chromium-driver"]
    {
        assert!(told.contains(missing), "{missing}: {told}");
    }
    assert!(told.contains("to install them: apt-get install"), "{told}");
}
