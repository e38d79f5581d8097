//! Every path that the code for use mentions: in `use` lines, types, expressions, attributes and macro calls.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Arm, Attribute, Expr, ExprCall, Field, FieldValue, ForeignItem, ImplItem, Item, ItemMacro, ItemMod,
    ItemUse, Macro, Meta, Path, Stmt, TraitItem, Variant, Visibility,
};

use super::house::{House, plain};
use super::imports::imports;
use super::marks::Marked;

/// A path, and where it is written.
pub struct Mention {
    pub module: usize,
    pub line: usize,
    pub path: Vec<String>,
}

/// All that the file of `module` mentions, its inline modules too; notes the `use` lines within function bodies.
pub fn mentions(house: &mut House, module: usize) -> Vec<Mention> {
    let syntax = std::rc::Rc::clone(&house.files[house.modules[module].file].syntax);
    let mut reader = Reader { house, module, depth: 0, found: Vec::new() };
    reader.visit_file(&syntax);
    reader.found
}

struct Reader<'h> {
    house: &'h mut House,
    module: usize,
    /// How many items the reader is inside of: a `use` line within one is of a function body.
    depth: usize,
    found: Vec<Mention>,
}

impl Reader<'_> {
    fn note(&mut self, path: Vec<String>, line: usize) {
        self.found.push(Mention { module: self.module, line, path });
    }

    fn note_path(&mut self, path: &Path) {
        if path.leading_colon.is_none() {
            let line = path.segments.first().map_or(0, |first| first.ident.span().start().line);
            self.note(path.segments.iter().map(|segment| plain(&segment.ident)).collect(), line);
        }
    }

    /// Paths in tokens that only the called macro understands.
    fn read_tokens(&mut self, tokens: TokenStream, in_attribute: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) if !is_visibility(&tokens[..at - 1], group) => {
                    self.read_tokens(group.stream(), in_attribute);
                }
                TokenTree::Literal(literal) if in_attribute => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.read_text(&text.value(), literal.span().start().line);
                    }
                }
                TokenTree::Ident(first) => {
                    let begins = begins_path(&tokens[..at - 1], first);
                    at = self.read_path(&tokens, at - 1, Vec::new(), begins);
                }
                _ => {}
            }
        }
    }

    /// The path that begins at this token, with what its braces hold; returns where it ends.
    fn read_path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        mut path: Vec<String>,
        count: bool,
    ) -> usize {
        let line = tokens[at].span().start().line;
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(ident)) => path.push(plain(ident)),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' && !path.is_empty() => {
                    path.push("*".to_owned());
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    if count {
                        self.read_braces(group, &path);
                    }
                    return at + 1;
                }
                _ => break,
            }
            at += 1;
            if !is_colons(tokens.get(at..at + 2)) {
                break;
            }
            at += 2;
        }
        let next = tokens.get(at);
        let is_called =
            matches!(next, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
        if count && (path.len() > 1 || is_called || path.first().is_some_and(|name| is_type(name))) {
            self.note(path, line);
        }
        at
    }

    /// The braces of a `use` line within tokens.
    fn read_braces(&mut self, group: &Group, before: &[String]) {
        let tokens: Vec<_> = group.stream().into_iter().collect();
        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
        for import in tokens.split(is_comma).filter(|import| !import.is_empty()) {
            self.read_path(import, 0, before.to_vec(), true);
        }
    }

    /// A text in an attribute may be a path: `#[serde(with = "crate::x")]`.
    fn read_text(&mut self, text: &str, line: usize) {
        if let Ok(path) = syn::parse_str::<Path>(text)
            && path.segments.len() > 1
            && path.leading_colon.is_none()
        {
            self.note(path.segments.iter().map(|segment| plain(&segment.ident)).collect(), line);
        }
    }
}

/// Whether a path may begin with this word: not after `.`, `::`, `$` or the tick of a lifetime.
fn begins_path(before: &[TokenTree], word: &Ident) -> bool {
    let Some(TokenTree::Punct(last)) = before.last() else { return true };
    match last.as_char() {
        '$' => word == "crate",
        '.' => is_range(before),
        '\'' => false,
        ':' => !is_colons(before.len().checked_sub(2).and_then(|at| before.get(at..))),
        _ => true,
    }
}

/// Whether the tokens end in `..`.
fn is_range(tokens: &[TokenTree]) -> bool {
    let dots = tokens.iter().rev().take(2);
    dots.filter(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '.')).count() == 2
}

fn is_colons(tokens: Option<&[TokenTree]>) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    matches!(tokens, Some([first, second]) if is_colon(first) && is_colon(second))
}

/// Whether the group is that of `pub(…)`.
fn is_visibility(before: &[TokenTree], group: &Group) -> bool {
    let after_pub = matches!(before.last(), Some(TokenTree::Ident(ident)) if ident == "pub");
    after_pub && group.delimiter() == Delimiter::Parenthesis
}

fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

/// Visits a part that may be for tests only.
macro_rules! for_use {
    ($($visit:ident: $part:ty;)*) => {$(
        fn $visit(&mut self, part: &'ast $part) {
            if !part.is_test_only() {
                visit::$visit(self, part);
            }
        }
    )*};
}

impl<'ast> Visit<'ast> for Reader<'_> {
    for_use! {
        visit_arm: Arm;
        visit_expr: Expr;
        visit_field: Field;
        visit_field_value: FieldValue;
        visit_foreign_item: ForeignItem;
        visit_impl_item: ImplItem;
        visit_stmt: Stmt;
        visit_trait_item: TraitItem;
        visit_variant: Variant;
    }

    fn visit_item(&mut self, item: &'ast Item) {
        if !item.is_test_only() {
            let deeper = usize::from(!matches!(item, Item::Mod(_) | Item::Use(_)));
            self.depth += deeper;
            visit::visit_item(self, item);
            self.depth -= deeper;
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = plain(&item.ident);
        let outer = self.module;
        let modules = &self.house.modules;
        let mut children = modules[outer].children.iter();
        if let Some((_, inner)) = children.find(|(child, id)| *child == name && modules[*id].inline) {
            self.module = *inner;
        }
        visit::visit_item_mod(self, item);
        self.module = outer;
    }

    fn visit_item_use(&mut self, line: &'ast ItemUse) {
        for import in imports(line) {
            if !import.is_reexport {
                self.note(import.path.clone(), import.line);
            }
            if self.depth > 0 {
                self.house.modules[self.module].local_imports.push(import);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.len() > 1
            || path.segments.first().is_some_and(|first| is_type(&first.ident.to_string()))
        {
            self.note_path(path);
        }
        visit::visit_path(self, path);
    }

    /// A lower-case name alone may be a local variable; one that is called is mostly not.
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = &*call.func
            && function.path.segments.len() == 1
        {
            self.note_path(&function.path);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.note_path(&call.path);
        self.read_tokens(call.tokens.clone(), false);
    }

    fn visit_item_macro(&mut self, call: &'ast ItemMacro) {
        call.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.visit_macro(&call.mac);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let path = attribute.path();
        if ["doc", "cfg", "cfg_attr", "path"].iter().any(|name| path.is_ident(name)) {
            return;
        }
        self.note_path(path);
        match &attribute.meta {
            Meta::Path(_) => {}
            Meta::List(list) => self.read_tokens(list.tokens.clone(), true),
            Meta::NameValue(pair) => match &pair.value {
                Expr::Lit(literal) => {
                    if let syn::Lit::Str(text) = &literal.lit {
                        self.read_text(&text.value(), text.span().start().line);
                    }
                }
                value => self.visit_expr(value),
            },
        }
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
