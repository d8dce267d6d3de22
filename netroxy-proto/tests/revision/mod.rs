//! The revision of the specification that the crate implements.

/// The text of a file of it; the only place of these tests that says which revision it is.
macro_rules! specified {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/v0.3/", $file))
    };
}

pub(crate) use specified;
