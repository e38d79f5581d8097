//! The pages in a configuration file.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::pages::Pages;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PagesInFile {
    login_url: String,
    switch_account: Option<String>,
    gateway_name: Option<String>,
    stylesheet: Option<String>,
    /// What a program with a scope can do, by scope.
    #[serde(default)]
    scopes: BTreeMap<String, String>,
}

/// The keys `login_url`, `switch_account`, `gateway_name`, `stylesheet`, and the table `scopes`.
impl<'de> Deserialize<'de> for Pages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = PagesInFile::deserialize(deserializer)?;
        let mut pages = Self::new(file.login_url);
        if let Some(url) = file.switch_account {
            pages = pages.switch_account(url);
        }
        if let Some(name) = file.gateway_name {
            pages = pages.gateway_name(name);
        }
        if let Some(css) = file.stylesheet {
            pages = pages.stylesheet(css);
        }
        Ok(file.scopes.into_iter().fold(pages, |pages, (scope, words)| pages.scope(scope, words)))
    }
}
