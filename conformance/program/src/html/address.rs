//! Texts in addresses of pages.

/// A text as part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut address = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' => {
                address.push(char::from(byte));
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_end_an_address_are_escaped() {
        assert_eq!(encoded("server/a@tls"), "server/a@tls");
        assert_eq!(encoded("a b?#\"ü"), "a%20b%3F%23%22%C3%BC");
    }
}
