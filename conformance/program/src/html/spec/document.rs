//! The files of the specification that the page shows.

use include_dir::File;
use netroxy_specification::catalog::SPEC;

/// A document of the specification.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

/// The order of the documents; those that are not named here follow.
const ORDER: [&str; 5] = [
    "netroxy.md",
    "grammar.abnf",
    "notation.md",
    "errata.md",
    "originals.md",
];

impl Document {
    fn new(file: &'static File<'static>) -> Option<Self> {
        let name = file.path().to_str()?;
        let text = file.contents_utf8()?;
        (name.ends_with(".md") || name.ends_with(".abnf")).then_some(Self { name, text })
    }

    pub(super) fn is_main(&self) -> bool {
        self.name == ORDER[0]
    }

    pub(super) fn is_markdown(&self) -> bool {
        self.name.ends_with(".md")
    }

    pub(super) fn anchor(&self) -> String {
        format!("doc:{}", self.name)
    }
}

/// All of them, in the order of the page.
pub(super) fn documents() -> Vec<Document> {
    let mut documents: Vec<Document> = SPEC.files().filter_map(Document::new).collect();
    let place = |name: &str| {
        ORDER
            .iter()
            .position(|known| *known == name)
            .unwrap_or(ORDER.len())
    };
    documents.sort_by_key(|document| (place(document.name), document.name));
    documents
}
