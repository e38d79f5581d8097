//! What a screen reader needs of a page, checked by axe-core.

use std::fs;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::repository;

/// The rules of WCAG 2.2 up to level AA, and what axe-core calls best practice.
const RULES: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const RUN: &str = "
    const [rules, done] = arguments;
    axe.run(document, { runOnly: rules, resultTypes: ['violations'] }).then(
        ({ violations }) => done(violations.flatMap(({ id, help, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html}: ${failureSummary}`))),
        (error) => done([String(error)]),
    );
";

impl Browser {
    /// Checks the page that is open in both colour schemes, on a narrow screen.
    ///
    /// # Panics
    ///
    /// The page breaks a rule.
    pub async fn is_accessible(&self, name: &str) {
        let library = repository().join("target/stock/node_modules/axe-core/axe.min.js");
        let library = fs::read_to_string(library).expect("axe-core is installed: run .ci/stock");
        self.execute(library, Vec::new()).await.unwrap();
        for scheme in ["light", "dark"] {
            self.look(320, scheme).await;
            let found = self.execute_async(RUN, vec![json!(RULES)]).await.unwrap();
            let broken: Vec<Value> = found.convert().unwrap();
            assert!(broken.is_empty(), "{name} in {scheme} colours: {broken:#?}");
        }
    }
}
