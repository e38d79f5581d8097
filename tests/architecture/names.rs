//! Where a path leads: to the module that defines the name, through all that pass it on.

use super::house::{House, ROOT};
use super::imports::Import;

/// What a path leads to: a name in the module that defines it, or a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub module: usize,
    pub name: Option<String>,
}

impl Target {
    fn module(module: usize) -> Self {
        Self { module, name: None }
    }

    fn item(module: usize, name: &str) -> Self {
        Self { module, name: Some(name.to_owned()) }
    }
}

/// The names that are being looked for, so that a look-up cannot run in a circle.
type Asked = Vec<(usize, String)>;

impl House {
    /// What `path` leads to when it is written in `module`; empty where it leads out of the crate.
    ///
    /// A name may be a module and a function at once, so there may be several.
    pub fn resolve(&self, module: usize, path: &[String]) -> Vec<Target> {
        let mut asked = Asked::new();
        if let Some((first, rest)) = path.split_first() {
            let known = self.start(module, path, &mut asked);
            if !known.is_empty() {
                return known;
            }
            let locals = self.modules[module].local_imports.iter();
            return self.imported(module, first, rest, locals, &mut asked);
        }
        Vec::new()
    }

    /// The module that a path names by `crate`, `self` and `super`, and what is left of the path.
    pub fn anchor<'p>(&self, module: usize, path: &'p [String]) -> Option<(usize, &'p [String])> {
        match path.first()?.as_str() {
            "crate" => Some((ROOT, &path[1..])),
            "self" | "super" => {
                let mut path = path.strip_prefix(&["self".to_owned()]).unwrap_or(path);
                let mut module = module;
                while path.first().is_some_and(|first| first == "super") {
                    (module, path) = (self.modules[module].parent?, &path[1..]);
                }
                Some((module, path))
            }
            _ => None,
        }
    }

    /// Whether the module knows the first name of a path only by a `pub use` of its own.
    ///
    /// A folder's `mod.rs` that passes on what its files define does not import it from them. What it passes on from
    /// another room, it imports as soon as it uses it.
    pub fn passes_on(&self, module: usize, path: &[String]) -> bool {
        let (here, name) = (&self.modules[module], &path[0]);
        let is_private =
            |import: &Import| !import.is_reexport && (import.is_glob() || import.name.as_ref() == Some(name));
        self.anchor(module, path).is_none()
            && !here.children.iter().any(|(child, _)| child == name)
            && !here.imports.iter().chain(&here.local_imports).any(is_private)
    }

    fn start(&self, module: usize, path: &[String], asked: &mut Asked) -> Vec<Target> {
        if let Some((module, rest)) = self.anchor(module, path) {
            return self.below(module, rest, asked);
        }
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let found = self.find(module, module, first, asked);
        self.onward(found, rest, asked)
    }

    /// Follows the rest of a path from a module. What is not found there, a macro makes there.
    fn below(&self, module: usize, rest: &[String], asked: &mut Asked) -> Vec<Target> {
        match rest.split_first() {
            None => vec![Target::module(module)],
            Some((glob, [])) if glob == "*" => vec![Target::module(module)],
            Some((name, rest)) => {
                let found = self.find(module, module, name, asked);
                if found.is_empty() {
                    return vec![Target::item(module, name)];
                }
                self.onward(found, rest, asked)
            }
        }
    }

    fn onward(&self, mut found: Vec<Target>, rest: &[String], asked: &mut Asked) -> Vec<Target> {
        if rest.is_empty() {
            return found;
        }
        if found.iter().any(|target| target.name.is_none()) {
            found.retain(|target| target.name.is_none());
        }
        let onward = found.into_iter().flat_map(|target| match target.name {
            None => self.below(target.module, rest, asked),
            Some(_) => vec![target],
        });
        onward.collect()
    }

    /// What `name` is in `module`, for one who looks from `viewer`.
    fn find(&self, viewer: usize, module: usize, name: &str, asked: &mut Asked) -> Vec<Target> {
        if asked.iter().any(|(at, known)| *at == module && known == name) {
            return Vec::new();
        }
        asked.push((module, name.to_owned()));
        let found = self.find_here(viewer, module, name, asked);
        asked.pop();
        found
    }

    fn find_here(&self, viewer: usize, module: usize, name: &str, asked: &mut Asked) -> Vec<Target> {
        let here = &self.modules[module];
        let inside = self.is_within(viewer, module);
        let children = here.children.iter().filter(|(child, _)| child == name);
        let mut found: Vec<_> = children.map(|(_, id)| Target::module(*id)).collect();
        if here.items.get(name).is_some_and(|visible| *visible || inside) {
            found.push(Target::item(module, name));
        }
        let visible = here.imports.iter().filter(|import| import.is_reexport || inside);
        found.extend(self.imported(module, name, &[], visible.clone(), asked));
        if !found.is_empty() {
            return found;
        }
        for glob in visible.filter(|import| import.is_glob()) {
            for target in self.start(module, &glob.path, asked) {
                if target.name.is_none() {
                    found.extend(self.find(module, target.module, name, asked));
                }
            }
        }
        if found.is_empty() && here.made.contains(name) {
            found.push(Target::item(module, name));
        }
        found
    }

    /// What those of the imports that are called `name` lead to. One of another crate leads to the line that passes it on.
    fn imported<'i>(
        &self,
        module: usize,
        name: &str,
        rest: &[String],
        imports: impl Iterator<Item = &'i Import>,
        asked: &mut Asked,
    ) -> Vec<Target> {
        let mut found = Vec::new();
        for import in imports.filter(|import| import.name.as_deref() == Some(name)) {
            let targets = self.start(module, &import.path, asked);
            if targets.is_empty() {
                found.push(Target::item(module, name));
            }
            found.extend(self.onward(targets, rest, asked));
        }
        found
    }

    fn is_within(&self, module: usize, outer: usize) -> bool {
        module == outer || self.modules[module].parent.is_some_and(|parent| self.is_within(parent, outer))
    }
}
