//! A hash of everything that the future of a server depends on, for a search that visits each state once.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use super::{Conn, Mapping, MappingId, Reply, Server, Timer};
use crate::server::Listener;

impl Server {
    /// Feeds `hasher` everything that the future depends on. All outputs must be drained. Times are
    /// counted from `now` and mappings by their order, so two servers that will behave alike have the
    /// same hash.
    pub fn fingerprint(&self, now: Duration, hasher: &mut impl Hasher) {
        // Every field is named, so that a new one cannot be forgotten here.
        let Self {
            config: _,
            conns,
            sessions: _,
            mappings,
            by_port: _,
            users,
            timers,
            outputs: _,
            taken: _,
            next_mapping: _,
        } = self;
        hasher.write_usize(conns.len());
        for (id, conn) in conns {
            hasher.write_u64(id.0);
            self.conn(conn, hasher);
        }
        hasher.write_usize(mappings.len());
        for mapping in mappings.values() {
            let Mapping {
                conn,
                remote_port,
                is_open,
                listens,
                waiting,
            } = mapping;
            (conn.0, remote_port, is_open, listens).hash(hasher);
            hasher.write_usize(waiting.len());
            for user in waiting {
                hasher.write_u64(user.0);
            }
        }
        hasher.write_usize(users.len());
        for (user, mapping) in users {
            (user.0, self.rank(*mapping)).hash(hasher);
        }
        for (left, timer) in timers.left(now) {
            match timer {
                Timer::Conn(conn) => (left, 'c', conn.0).hash(hasher),
                Timer::User(user) => (left, 'u', user.0).hash(hasher),
            }
        }
    }

    fn conn(&self, conn: &Conn, hasher: &mut impl Hasher) {
        let Conn {
            state,
            listener,
            token,
            silence: _,
            client,
            mappings: _,
            replies,
        } = conn;
        hasher.write_u8(*state as u8);
        hasher.write_u8(u8::from(*listener == Listener::Tls));
        hasher.write(token.expose());
        client
            .as_ref()
            .map(|(user, name)| (user.as_bytes(), name.as_bytes()))
            .hash(hasher);
        hasher.write_usize(replies.len());
        for reply in replies {
            match reply {
                Reply::Ready(message) => {
                    let mut bytes = alloc::vec::Vec::new();
                    message.encode(&mut bytes);
                    hasher.write(&bytes);
                }
                Reply::Opening(mapping) => hasher.write_usize(self.rank(*mapping)),
            }
        }
    }

    fn rank(&self, mapping: MappingId) -> usize {
        self.mappings.range(..mapping).count()
    }
}
