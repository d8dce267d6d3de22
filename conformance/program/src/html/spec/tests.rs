//! The page of the embedded specification, and of short texts with every element.

use std::sync::Arc;

use netroxy_specification::catalog::{self, Entry};
use netroxy_specification::rules;

use super::text::Renderer;
use super::{Anchors, Document, render};
use crate::html::tests::{sound, values};

fn entries() -> Vec<Arc<Entry>> {
    let entries = catalog::embedded().unwrap();
    entries.into_values().map(Arc::new).collect()
}

#[test]
fn the_page_of_the_specification_has_every_rule_case_and_document() {
    let (rules, entries) = (rules::embedded().unwrap(), entries());
    let page = render(&rules, &entries);
    sound(&page);
    let ids = values(&page, "id");
    for rule in &rules {
        assert_eq!(
            ids.iter().filter(|id| **id == rule.id).count(),
            1,
            "{}",
            rule.id
        );
    }
    for entry in &entries {
        assert!(
            page.contains(&format!("href=\"#case:{}\"", entry.id)),
            "{}",
            entry.id
        );
    }
    // A block of code in the text shows how a rule is written.
    let outside = page
        .split("<pre>")
        .map(|part| part.rsplit("</pre>").next().unwrap());
    for part in outside {
        assert!(!part.contains("r[") && !part.contains("{subject"), "{part}");
    }
    assert!(!page.contains("<script"), "the page has no script");
    for document in ["netroxy.md", "grammar.abnf", "notation.md", "originals.md"] {
        assert!(
            ids.contains(&format!("doc:{document}").as_str()),
            "{document}"
        );
    }
}

fn rendered(text: &'static str) -> String {
    let documents = [Document {
        name: "netroxy.md",
        text,
    }];
    let rules = rules::extract(text).unwrap();
    let entries = entries();
    let anchors = Anchors::new(&documents, &rules, &entries);
    let renderer = Renderer::new(&anchors, &rules, &entries);
    renderer.markdown(&documents[0]).into_string()
}

#[test]
fn a_rule_becomes_a_box_with_its_reason() {
    let page = rendered(
        "r[a.b]\nIt MUST say `MRS`\nto <b>.\n{subject: both; origin: readme; since: 0.3; unjudged: the wire does not show it}\n\n\
         Why: because of a.b.\n\nNot why.\n",
    );
    insta::assert_snapshot!(page);
}

#[test]
fn names_and_links_lead_to_what_they_mean() {
    let page = rendered(
        "# T\n\n## 1. Words & `more`\n\n* [there](#1-words--more), [out](../x.md), `server/tunnel/early-data@tls`\n\n\
         | a |\n|---|\n| `cases/` |\n\n![a picture](https://example.org/x.png)\n\n\
         ``` case server/auth/good-login\nctl   < closed  [tunnel.none]\n```\n\n``` message client\nATH\n```\n",
    );
    insta::assert_snapshot!(page);
}
