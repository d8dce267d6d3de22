//! What every page must be.

use std::collections::BTreeSet;

use super::inline;

/// No id is used twice, every link on the page leads to an id on it, and nothing is loaded from elsewhere.
pub(crate) fn sound(page: &str) {
    let mut ids = BTreeSet::new();
    for id in values(page, "id") {
        assert!(ids.insert(id), "the id {id} is used twice");
    }
    for link in values(page, "href") {
        match link.strip_prefix('#') {
            Some(target) => assert!(ids.contains(target), "{link} leads nowhere"),
            None => assert!(
                link.starts_with("https://"),
                "{link} is no link of this page"
            ),
        }
    }
    for loads in [
        " src=", "<link", "@import", "url(", "<iframe", "<object", "fetch(",
    ] {
        assert!(!page.contains(loads), "{loads} loads something");
    }
}

/// The values of an attribute, as they are written.
pub(crate) fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let before = format!(" {attribute}=\"");
    page.split(&before)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn an_address_holds_nothing_that_ends_it() {
    assert_eq!(super::encoded("server/a@tls"), "server/a@tls");
    assert_eq!(super::encoded("a b?#\"ü"), "a%20b%3F%23%22%C3%BC");
}

#[test]
fn a_sentence_keeps_its_code_and_shows_its_tags() {
    assert_eq!(
        inline("by `MRS false` <b>&").into_string(),
        "by <code>MRS false</code> &lt;b&gt;&amp;"
    );
}
