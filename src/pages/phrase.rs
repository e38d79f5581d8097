//! Texts with words in braces that a page fills in.

use askama::Template;

use super::filters::{self, in_a_sentence};

/// A part of a text.
enum Part<'t> {
    Words(&'t str),
    Placeholder(&'t str),
}

/// A text whose placeholders are filled in. Both the text and the values are escaped.
#[derive(Debug, Template)]
#[template(path = "phrase.html")]
pub(super) struct Phrase<'a> {
    text: &'a str,
    values: Vec<(&'static str, &'a str)>,
}

impl<'a> Phrase<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, values: Vec::new() }
    }

    /// Fills in a placeholder.
    pub(super) fn with(mut self, placeholder: &'static str, value: &'a str) -> Self {
        self.values.push((placeholder, value));
        self
    }

    fn value(&self, placeholder: &str) -> &'a str {
        value(&self.values, placeholder)
    }
}

fn value<'v>(values: &[(&'static str, &'v str)], placeholder: &str) -> &'v str {
    values.iter().find(|(name, _)| *name == placeholder).map_or("", |(_, value)| value)
}

/// The template of a phrase escapes what it shows.
impl askama::filters::HtmlSafe for Phrase<'_> {}

/// A text whose placeholders are filled in, for places that can have no markup.
pub(super) fn plain(text: &str, values: &[(&'static str, &str)]) -> String {
    let fill = |part| match part {
        Part::Words(words) => words.to_owned(),
        Part::Placeholder(name) => in_a_sentence(value(values, name)),
    };
    parts(text).map(fill).collect()
}

/// The words in braces of `text`.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    parts(text).filter_map(|part| match part {
        Part::Placeholder(name) => Some(name),
        Part::Words(_) => None,
    })
}

/// Splits `text` at its placeholders. A brace without a partner is a character like any other.
fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    let mut waiting = None;
    std::iter::from_fn(move || {
        if let Some(placeholder) = waiting.take() {
            return Some(Part::Placeholder(placeholder));
        }
        if rest.is_empty() {
            return None;
        }
        let Some((words, placeholder, after)) = first_placeholder(rest) else {
            return Some(Part::Words(std::mem::take(&mut rest)));
        };
        rest = after;
        waiting = Some(placeholder);
        Some(Part::Words(words))
    })
}

/// What stands before the first placeholder of `text`, its name, and what stands behind it.
fn first_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = text.split_once('{')?;
    let (name, after) = after.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phrase(text: &str, values: &[(&'static str, &str)]) -> String {
        values
            .iter()
            .fold(Phrase::new(text), |phrase, (name, value)| phrase.with(name, value))
            .render()
            .unwrap()
    }

    #[test]
    fn placeholders_become_isolated_values() {
        assert_eq!(phrase("Use {gateway} now", &[("gateway", "G")]), "Use <bdi>G</bdi> now");
        assert_eq!(phrase("{a}{b}", &[("a", "1"), ("b", "2")]), "<bdi>1</bdi><bdi>2</bdi>");
        assert_eq!(phrase("no end {a", &[("a", "1")]), "no end {a");
        assert_eq!(phrase("a } alone", &[]), "a } alone");
    }

    #[test]
    fn a_value_is_escaped_and_is_no_text_of_its_own() {
        let shown = phrase("<b>{a}</b>", &[("a", "<i>{a}")]);
        assert_eq!(shown, "&#60;b&#62;<bdi>&#60;i&#62;{a}</bdi>&#60;/b&#62;");
    }

    proptest! {
        #[test]
        fn no_text_is_lost(text in "[{}a-c]{0,12}") {
            let again: String = parts(&text)
                .map(|part| match part {
                    Part::Words(words) => words.to_owned(),
                    Part::Placeholder(name) => format!("{{{name}}}"),
                })
                .collect();
            prop_assert_eq!(again, text);
        }
    }
}
