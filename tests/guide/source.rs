//! The source of the crate as tokens, without its tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::architecture::house::House;

/// One file that holds code for use.
pub struct SourceFile {
    /// Its path from the crate's folder: `src/store/mod.rs`.
    pub name: String,
    pub tokens: Vec<TokenTree>,
}

/// All files of the crate that hold code for use.
pub fn files() -> Vec<SourceFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let house = House::read(folder).unwrap();
    let for_use: BTreeSet<_> =
        house.modules.iter().filter(|module| !module.test_only).map(|module| module.file).collect();
    let read = |file: usize| {
        let name = house.files[file].name.clone();
        let tokens = fs::read_to_string(folder.join(&name)).unwrap().parse::<TokenStream>().unwrap();
        SourceFile { name, tokens: without_tests(tokens) }
    };
    for_use.into_iter().map(read).collect()
}

impl SourceFile {
    /// The target of what this file logs.
    pub fn target(&self) -> String {
        let path = self.name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        format!("bridge_auth::{}", path.replace('/', "::"))
    }

    /// The text literals in all functions of this name.
    pub fn texts_in_fn(&self, name: &str) -> Vec<String> {
        let mut texts = Vec::new();
        each(&self.tokens, &mut |trees, at| {
            if is_ident(trees.get(at), "fn") && is_ident(trees.get(at + 1), name) {
                texts.extend(
                    trees[at..].iter().find_map(|tree| block(tree).map(texts_in)).unwrap_or_default(),
                );
            }
        });
        texts
    }

    /// The text of a constant, or of a field, that is set to a literal: `name: "text"`, `name: &str = "text"`.
    pub fn texts_of(&self, name: &str) -> Vec<String> {
        let mut texts = Vec::new();
        each(&self.tokens, &mut |trees, at| {
            if is_ident(trees.get(at), name) && is_punct(trees.get(at + 1), ':') {
                let ends = |tree: &&TokenTree| !is_punct(Some(tree), ',') && !is_punct(Some(tree), ';');
                texts.extend(trees[at + 2..].iter().take_while(ends).find_map(text));
            }
        });
        texts
    }
}

/// Calls `see` with each place among the tokens: those of one group, and the index.
pub fn each(trees: &[TokenTree], see: &mut impl FnMut(&[TokenTree], usize)) {
    for (at, tree) in trees.iter().enumerate() {
        see(trees, at);
        if let TokenTree::Group(group) = tree {
            each(&without_tests(group.stream()), see);
        }
    }
}

/// What stands between the top-level commas.
pub fn arguments(group: &Group) -> Vec<Vec<TokenTree>> {
    let trees: Vec<_> = group.stream().into_iter().collect();
    let split = trees.split(|tree| is_punct(Some(tree), ','));
    split.filter(|part| !part.is_empty()).map(<[TokenTree]>::to_vec).collect()
}

/// The value of a text literal.
pub fn text(tree: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = tree else { return None };
    Some(syn::parse_str::<syn::LitStr>(&literal.to_string()).ok()?.value())
}

pub fn is_ident(tree: Option<&TokenTree>, name: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(ident)) if *ident == name)
}

pub fn is_punct(tree: Option<&TokenTree>, mark: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// The arguments of a call of a function, or of a macro.
pub fn parentheses(tree: Option<&TokenTree>) -> Option<&Group> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => Some(group),
        _ => None,
    }
}

fn block(tree: &TokenTree) -> Option<&Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    }
}

fn texts_in(group: &Group) -> Vec<String> {
    let mut texts = Vec::new();
    let trees: Vec<_> = group.stream().into_iter().collect();
    each(&trees, &mut |trees, at| texts.extend(text(&trees[at])));
    texts
}

/// Leaves out each item that is under `#[cfg(test)]`, or under it together with more.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let is_test = is_punct(Some(&tree), '#')
            && matches!(trees.peek(), Some(TokenTree::Group(attribute)) if is_cfg_test(attribute));
        if is_test {
            let _attribute = trees.next();
            trees.by_ref().find(|tree| block(tree).is_some() || is_punct(Some(tree), ';'));
        } else {
            kept.push(tree);
        }
    }
    kept
}

fn is_cfg_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text.starts_with("cfg(test") || text.starts_with("cfg(all(test")
}
