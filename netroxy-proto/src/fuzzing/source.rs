//! Makes structured values from any bytes. After the last byte it reads zeros.

use alloc::vec::Vec;

use crate::{
    Ars, Ath, ClientMessage, ClientName, InvalidField, Map, Mrs, Password, PortNumber,
    ServerMessage, Target, Timeout, Token, Trq, Trs, Username,
};

pub(super) struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// An index of a list of `len` entries; 0 if it is empty.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::from(self.byte()) % len.max(1)
    }

    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    pub(super) fn integer(&mut self) -> i64 {
        match self.byte() % 5 {
            0 => i64::from(self.byte()),
            1 => i64::from(u16::from_be_bytes([self.byte(), self.byte()])),
            2 => i64::MIN + i64::from(self.byte()),
            3 => i64::MAX - i64::from(self.byte()),
            _ => {
                let mut eight = [0; 8];
                let taken = self.take(8);
                eight
                    .iter_mut()
                    .zip(taken)
                    .for_each(|(to, from)| *to = *from);
                i64::from_be_bytes(eight)
            }
        }
    }

    /// Up to 255 bytes, none of them LF.
    pub(super) fn text<T>(&mut self) -> T
    where
        T: for<'b> TryFrom<&'b [u8], Error = InvalidField>,
    {
        let len = self.byte().into();
        let line: Vec<u8> = self
            .take(len)
            .iter()
            .map(|b| if *b == b'\n' { b'\r' } else { *b })
            .collect();
        T::try_from(&line).expect("the line has no LF")
    }

    pub(super) fn client_message(&mut self) -> ClientMessage {
        match self.byte() % 4 {
            0 => ClientMessage::Srq,
            1 => ClientMessage::Ath(Ath {
                client_name: self.text::<ClientName>(),
                username: self.text::<Username>(),
                password: self.text::<Password>(),
            }),
            2 => ClientMessage::Map(Map {
                remote_port: self.port(),
                target: self.text::<Target>(),
                is_open: self.flag(),
            }),
            _ => ClientMessage::Trs(Trs {
                token: self.text::<Token>(),
                remote_port: self.port(),
            }),
        }
    }

    pub(super) fn server_message(&mut self) -> ServerMessage {
        match self.byte() % 5 {
            0 => ServerMessage::Srs,
            1 => ServerMessage::Ars(Ars::Rejected),
            2 => ServerMessage::Ars(Ars::Accepted {
                timeout: self.timeout(),
                token: self.text::<Token>(),
            }),
            3 => ServerMessage::Mrs(Mrs {
                remote_port: self.port(),
                is_ok: self.flag(),
            }),
            _ => ServerMessage::Trq(Trq {
                remote_port: self.port(),
            }),
        }
    }

    pub(super) fn port(&mut self) -> PortNumber {
        self.integer().into()
    }

    fn timeout(&mut self) -> Timeout {
        let any = self.integer();
        Timeout::try_from(any)
            .or_else(|_| Timeout::try_from(1 + (any & 0xFFFF)))
            .expect("within the bounds")
    }
}
