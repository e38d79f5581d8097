//! Lists that the gateway tells page by page.

use anyhow::{Result, ensure};
use reqwest::RequestBuilder;
use serde_json::Value;
use url::Url;

use crate::command::{Act, Admin};

/// A list, and what asks for the page after a page.
pub struct List {
    /// The member of the answer that has the entries.
    entries: &'static str,
    /// The member of the answer that names the next page. The last page has none.
    next: &'static str,
    /// The parameter that takes it.
    parameter: &'static str,
}

/// The list that `act` asks for, if it asks for one that has pages.
pub fn list(act: &Act) -> Option<List> {
    match act {
        Act::Search { .. } => Some(List { entries: "users", next: "next_after", parameter: "after" }),
        Act::Devices { .. } => Some(List { entries: "sessions", next: "next_cursor", parameter: "cursor" }),
        _ => None,
    }
}

impl List {
    /// All pages as one. `None`: the gateway does not know whose list it is.
    pub async fn whole(
        &self,
        admin: &Admin,
        first: &Url,
        request: impl Fn(Url) -> RequestBuilder,
    ) -> Result<Option<Value>> {
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut url = first.clone();
            url.query_pairs_mut()
                .append_pair("limit", &admin.page_size.to_string())
                .extend_pairs(next.iter().map(|next| (self.parameter, next)));
            let Some(mut page) = super::answer(admin, request(url)).await? else { return Ok(None) };
            if let Some(Value::Array(entries)) = page.get_mut(self.entries) {
                all.append(entries);
            }
            let last = next;
            next = page[self.next].as_str().map(ToOwned::to_owned);
            if next.is_none() {
                page[self.entries] = Value::Array(all);
                return Ok(Some(page));
            }
            ensure!(next != last, "the gateway's list does not go on after {:?}", next.unwrap_or_default());
        }
    }
}
