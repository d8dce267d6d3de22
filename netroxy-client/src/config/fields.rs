//! Reads single values of the file.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use netroxy_net::config_file;
use netroxy_net::tls::{self, Trust};
use rustls_pki_types::ServerName;
use serde::de::{Error as _, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The greatest number of spare connections that can be configured.
pub(super) const MOST_SPARES: usize = 1000;

/// A host. Brackets around an IPv6 address are removed.
pub(super) fn some_host<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.contains('\n') {
        return Err(D::Error::custom("must not contain a line feed"));
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    Ok(Some(bare.map_or_else(|| text.clone(), str::to_owned)))
}

pub(super) fn some_patience<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    config_file::patience(deserializer).map(Some)
}

pub(super) fn some_millis<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let millis = config_file::within(deserializer, 0, 10_000, "milliseconds from 0 to 10000")?;
    Ok(Some(Duration::from_millis(millis.unsigned_abs())))
}

pub(super) fn some_spares<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    let most = i64::try_from(MOST_SPARES).unwrap_or(i64::MAX);
    let count = config_file::within(
        deserializer,
        0,
        most,
        &format!("a number from 0 to {MOST_SPARES}"),
    )?;
    Ok(usize::try_from(count).ok())
}

pub(super) fn some_parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

pub(super) fn some_server_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ServerName<'static>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    tls::server_name(&text, &Trust::System)
        .map(Some)
        .map_err(D::Error::custom)
}

pub(super) fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(OneOrMore(PhantomData))
}

pub(super) fn some_or_more<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    one_or_more(deserializer).map(Some)
}

/// One value, or a list of values. An error has the place of its item.
struct OneOrMore<T>(PhantomData<T>);

impl<T> OneOrMore<T> {
    fn one<'de, E, V>(value: V) -> Result<Vec<T>, E>
    where
        T: Deserialize<'de>,
        E: serde::de::Error,
        V: IntoDeserializer<'de, E>,
    {
        Ok(vec![T::deserialize(value.into_deserializer())?])
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMore<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Self::one(text)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Vec<T>, E> {
        Self::one(number)
    }
}
