//! One `use` line as the imports that it is made of.

use syn::{ItemUse, UseTree, Visibility};

use super::house::plain;

/// One name that a `use` line brings in.
#[derive(Clone)]
pub struct Import {
    /// As written, with what stands before the braces; ends in `*` where all names are brought in.
    pub path: Vec<String>,
    /// What the name is called here; `None` for `*`.
    pub name: Option<String>,
    pub line: usize,
    /// Whether the line has a `pub` of any kind, and so passes the name on.
    pub is_reexport: bool,
}

impl Import {
    pub fn is_glob(&self) -> bool {
        self.path.last().is_some_and(|last| last == "*")
    }
}

/// The imports of a `use` line; none where the line names another crate by a leading `::`.
pub fn imports(line: &ItemUse) -> Vec<Import> {
    let mut found = Vec::new();
    if line.leading_colon.is_none() {
        let is_reexport = !matches!(line.vis, Visibility::Inherited);
        collect(&line.tree, &mut Vec::new(), is_reexport, &mut found);
    }
    found
}

fn collect(tree: &UseTree, before: &mut Vec<String>, is_reexport: bool, found: &mut Vec<Import>) {
    let (last, name) = match tree {
        UseTree::Path(path) => {
            before.push(plain(&path.ident));
            collect(&path.tree, before, is_reexport, found);
            before.pop();
            return;
        }
        UseTree::Group(group) => {
            return group.items.iter().for_each(|tree| collect(tree, before, is_reexport, found));
        }
        UseTree::Name(name) => (&name.ident, None),
        UseTree::Rename(rename) => (&rename.ident, Some(plain(&rename.rename))),
        UseTree::Glob(glob) => {
            let path = [before.as_slice(), &["*".to_owned()]].concat();
            let line = glob.star_token.spans[0].start().line;
            return found.push(Import { path, name: None, line, is_reexport });
        }
    };
    let mut path = before.clone();
    // `{self}` stands for what is written before the brace.
    if *last != "self" || path.is_empty() {
        path.push(plain(last));
    }
    let name = name.or_else(|| path.last().cloned());
    found.push(Import { path, name, line: last.span().start().line, is_reexport });
}
