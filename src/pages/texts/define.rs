//! The macro that defines a group of texts.

/// Defines a struct of texts with their English defaults.
///
/// The words behind `with` are the placeholders that the page fills in: the text may have them in braces.
macro_rules! texts {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $default:literal $(with $($placeholder:ident),+)?; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                #[doc = ""]
                #[doc = concat!("Default: `", $default, "`.")]
                pub $field: std::borrow::Cow<'static, str>,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: std::borrow::Cow::Borrowed($default), )+ }
            }
        }

        impl $name {
            /// Each text, with its name and the placeholders that it may have.
            pub(super) fn each(&self) -> Vec<$crate::pages::texts::Text<'_>> {
                vec![ $( $crate::pages::texts::Text {
                    name: concat!(stringify!($name), "::", stringify!($field)),
                    text: &self.$field,
                    placeholders: &[ $( $( stringify!($placeholder) ),+ )? ],
                }, )+ ]
            }

            #[cfg(test)]
            pub(super) fn each_mut(&mut self) -> Vec<&mut std::borrow::Cow<'static, str>> {
                vec![ $( &mut self.$field, )+ ]
            }
        }
    };
}
pub(super) use texts;
