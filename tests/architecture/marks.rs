//! Which code is compiled for tests only, by its `#[cfg(…)]` and `#[test]` marks.

use syn::punctuated::Punctuated;
use syn::{
    Arm, Attribute, Expr, Field, FieldValue, ForeignItem, ImplItem, Item, Meta, Stmt, Token, TraitItem,
    Variant,
};

/// The cfg names that are never set in a build for use.
const TEST_ONLY: [&str; 4] = ["test", "doctest", "loom", "miri"];

/// A part of the syntax tree that attributes can stand on.
pub trait Marked {
    fn attributes(&self) -> &[Attribute];

    /// Whether the part is compiled for tests only.
    fn is_test_only(&self) -> bool {
        self.attributes().iter().any(|attribute| {
            let path = attribute.path();
            if path.is_ident("cfg") {
                return attribute.parse_args().is_ok_and(|meta: Meta| holds(&meta) == Some(false));
            }
            path.is_ident("test")
        })
    }
}

/// Whether a cfg holds in a build for use; `None`: it depends on the platform or the features.
fn holds(meta: &Meta) -> Option<bool> {
    let Meta::List(list) = meta else {
        return TEST_ONLY.iter().any(|name| meta.path().is_ident(name)).then_some(false);
    };
    let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
    let parts: Vec<_> = parts.iter().map(holds).collect();
    match list.path.get_ident()?.to_string().as_str() {
        "not" => parts.first()?.map(|holds| !holds),
        "all" if parts.contains(&Some(false)) => Some(false),
        "all" if parts.contains(&None) => None,
        "all" => Some(true),
        "any" if parts.contains(&Some(true)) => Some(true),
        "any" if parts.contains(&None) => None,
        "any" => Some(false),
        _ => None,
    }
}

macro_rules! marked {
    ($($part:ident)*) => {$(
        impl Marked for $part {
            fn attributes(&self) -> &[Attribute] {
                &self.attrs
            }
        }
    )*};
    ($part:ident: $($variant:ident)*) => {
        impl Marked for $part {
            fn attributes(&self) -> &[Attribute] {
                match self {
                    $($part::$variant(part) => &part.attrs,)*
                    _ => &[],
                }
            }
        }
    };
}

marked! { Arm Field FieldValue Variant }
marked! { Item: Const Enum ExternCrate Fn ForeignMod Impl Macro Mod Static Struct Trait TraitAlias Type Union Use }
marked! { ImplItem: Const Fn Type Macro }
marked! { TraitItem: Const Fn Type Macro }
marked! { ForeignItem: Fn Static Type Macro }
marked! { Expr:
    Array Assign Async Await Binary Block Break Call Cast Closure Const Continue Field ForLoop Group If Index Infer Let
    Lit Loop Macro Match MethodCall Paren Path Range RawAddr Reference Repeat Return Struct Try TryBlock Tuple Unary
    Unsafe While Yield
}

impl Marked for Stmt {
    fn attributes(&self) -> &[Attribute] {
        match self {
            Self::Local(local) => &local.attrs,
            Self::Macro(call) => &call.attrs,
            Self::Item(item) => item.attributes(),
            Self::Expr(expression, _) => expression.attributes(),
        }
    }
}
