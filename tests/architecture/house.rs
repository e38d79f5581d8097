//! The modules of a crate, as its `mod` lines declare them, and the names that each one holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, ensure};
use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Expr, Ident, Item, ItemMacro, Lit, Meta, Visibility};

use super::imports::{Import, imports};
use super::marks::Marked as _;

/// The crate root: the first module, and a room of its own.
pub const ROOT: usize = 0;

/// All modules of a crate, and the files that they stand in.
pub struct House {
    /// That of the crate.
    pub folder: PathBuf,
    pub files: Vec<SourceFile>,
    pub modules: Vec<Module>,
}

pub struct SourceFile {
    /// Its path from the crate's folder: `src/store/mod.rs`.
    pub name: String,
    pub syntax: Rc<syn::File>,
}

pub struct Module {
    /// The file that it stands in: an inline module shares that of its parent.
    pub file: usize,
    pub parent: Option<usize>,
    pub test_only: bool,
    pub inline: bool,
    /// Two of one name may stand under different cfgs.
    pub children: Vec<(String, usize)>,
    /// The items defined here, and whether any other module may name them.
    pub items: BTreeMap<String, bool>,
    /// Words in the macro calls that stand among the items: an item of that name may be made there.
    pub made: BTreeSet<String>,
    pub imports: Vec<Import>,
    /// The `use` lines within function bodies.
    pub local_imports: Vec<Import>,
}

/// Where the next module stands.
struct Place {
    parent: Option<usize>,
    /// The folder of the modules that it declares.
    folder: PathBuf,
    test_only: bool,
}

impl House {
    /// Reads all modules that `src/lib.rs` of this crate leads to.
    pub fn read(crate_folder: &Path) -> anyhow::Result<Self> {
        let folder = crate_folder.to_owned();
        let mut house = Self { folder, files: Vec::new(), modules: Vec::new() };
        let place = Place { parent: None, folder: crate_folder.join("src"), test_only: false };
        house.add_file(&crate_folder.join("src/lib.rs"), &place)?;
        house.refuse_strays()?;
        Ok(house)
    }

    /// The room of a file: its name, or that of the folder, right below `src`.
    pub fn room(&self, file: usize) -> &str {
        let path = self.files[file].name.strip_prefix("src/").unwrap_or(&self.files[file].name);
        let first = path.split('/').next().unwrap_or(path);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The rooms that hold code for use, without the crate root.
    pub fn rooms(&self) -> BTreeSet<&str> {
        let for_use = self.modules.iter().skip(1).filter(|module| !module.test_only);
        for_use.map(|module| self.room(module.file)).filter(|room| *room != "lib").collect()
    }

    /// The path of a file from the crate's folder.
    fn name_of(&self, path: &Path) -> anyhow::Result<String> {
        Ok(path.strip_prefix(&self.folder)?.to_string_lossy().replace('\\', "/"))
    }

    fn add_file(&mut self, path: &Path, place: &Place) -> anyhow::Result<()> {
        let name = self.name_of(path)?;
        let file = match self.files.iter().position(|file| file.name == name) {
            Some(known) => known,
            None => {
                let text = fs::read_to_string(path).with_context(|| name.clone())?;
                let syntax = syn::parse_file(&text).with_context(|| name.clone())?;
                self.files.push(SourceFile { name, syntax: Rc::new(syntax) });
                self.files.len() - 1
            }
        };
        let syntax = Rc::clone(&self.files[file].syntax);
        self.add_module(file, false, place, &syntax.items)
    }

    fn add_module(&mut self, file: usize, inline: bool, place: &Place, items: &[Item]) -> anyhow::Result<()> {
        let this = self.modules.len();
        self.modules.push(Module {
            file,
            parent: place.parent,
            test_only: place.test_only,
            inline,
            children: Vec::new(),
            items: BTreeMap::new(),
            made: BTreeSet::new(),
            imports: Vec::new(),
            local_imports: Vec::new(),
        });
        for item in items {
            let test_only = item.is_test_only();
            if let Item::Mod(child) = item {
                let name = plain(&child.ident);
                let test_only = place.test_only || test_only;
                let path = path_attribute(&child.attrs);
                let next = self.modules.len();
                self.modules[this].children.push((name.clone(), next));
                match &child.content {
                    Some((_, items)) => {
                        let place = Place { parent: Some(this), folder: place.folder.join(&name), test_only };
                        self.add_module(file, true, &place, items)?;
                    }
                    None => {
                        let beside = if inline { place.folder.clone() } else { self.folder_of(file) };
                        let (path, folder) = child_file(&place.folder, &beside, &name, path);
                        ensure!(path.is_file(), "{}: no file for `mod {name};`", self.files[file].name);
                        let place = Place { parent: Some(this), folder, test_only };
                        self.add_file(&path, &place)?;
                    }
                }
            } else if !test_only {
                self.add_item(this, item);
            }
        }
        Ok(())
    }

    fn folder_of(&self, file: usize) -> PathBuf {
        self.folder.join(&self.files[file].name).parent().map(Path::to_owned).unwrap_or_default()
    }

    /// Notes the name of an item.
    fn add_item(&mut self, module: usize, item: &Item) {
        let (name, visibility) = match item {
            Item::Use(line) => return self.modules[module].imports.extend(imports(line)),
            Item::Macro(call) => return self.add_macro(module, call),
            Item::Const(item) => (&item.ident, &item.vis),
            Item::Enum(item) => (&item.ident, &item.vis),
            Item::Fn(item) => (&item.sig.ident, &item.vis),
            Item::Static(item) => (&item.ident, &item.vis),
            Item::Struct(item) => (&item.ident, &item.vis),
            Item::Trait(item) => (&item.ident, &item.vis),
            Item::TraitAlias(item) => (&item.ident, &item.vis),
            Item::Type(item) => (&item.ident, &item.vis),
            Item::Union(item) => (&item.ident, &item.vis),
            _ => return,
        };
        self.modules[module].items.insert(plain(name), !matches!(visibility, Visibility::Inherited));
    }

    fn add_macro(&mut self, module: usize, call: &ItemMacro) {
        let Some(name) = &call.ident else {
            return words(call.mac.tokens.clone(), &mut self.modules[module].made);
        };
        let name = plain(name);
        self.modules[module].items.insert(name.clone(), false);
        if module != ROOT && call.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            let path = [self.path_of(module), vec![name.clone()]].concat();
            let import = Import { path, name: Some(name), line: 0, is_reexport: true };
            self.modules[ROOT].imports.push(import);
        }
    }

    /// The path of a module from the crate's root: `["crate", "store", "sqlite"]`.
    pub fn path_of(&self, module: usize) -> Vec<String> {
        let Some(parent) = self.modules[module].parent else {
            return vec!["crate".to_owned()];
        };
        let siblings = &self.modules[parent].children;
        let name = siblings.iter().find(|(_, id)| *id == module).map(|(name, _)| name.clone());
        let mut path = self.path_of(parent);
        path.extend(name);
        path
    }

    /// A file that no `mod` line leads to would be read by nobody, here as in the compiler.
    fn refuse_strays(&self) -> anyhow::Result<()> {
        let mut folders = vec![self.folder.join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = self.name_of(&path)?;
                    let is_known = self.files.iter().any(|file| file.name == name);
                    ensure!(is_known, "{name}: no `mod` line leads to this file");
                }
            }
        }
        Ok(())
    }
}

/// An identifier without the `r#` of a raw one.
pub fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

/// The file of `mod name;`, and the folder of the modules that it declares in turn.
fn child_file(folder: &Path, beside: &Path, name: &str, path: Option<String>) -> (PathBuf, PathBuf) {
    if let Some(path) = path {
        let file = beside.join(path);
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        return (file, folder);
    }
    let (flat, below) = (folder.join(format!("{name}.rs")), folder.join(name));
    (if flat.is_file() { flat } else { below.join("mod.rs") }, below)
}

/// The text of `#[path = "…"]`.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

fn words(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => _ = found.insert(plain(&ident)),
            TokenTree::Group(group) => words(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}
