//! Relays one connection in both directions.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use super::witness::Witness;
use crate::recording::{End, Sender, What};

/// Relays bytes, ends and resets until both directions have ended or one side has reset the connection.
pub(super) async fn relay(mut client: TcpStream, mut server: TcpStream, witness: &Witness) {
    let (there, back) = (CancellationToken::new(), CancellationToken::new());
    let outcome = {
        let (client_in, client_out) = client.split();
        let (server_in, server_out) = server.split();
        let there = Direction {
            sender: Sender::Opener,
            ended: &there,
            other: &back,
            witness,
        };
        let back = Direction {
            sender: Sender::Acceptor,
            ended: there.other,
            other: there.ended,
            witness,
        };
        let there = there.carry(client_in, server_out);
        tokio::try_join!(there, back.carry(server_in, client_out)).map(|_| ())
    };
    if let Err(gone) = outcome {
        witness.tell(What::Ended(gone, End::Reset)).await;
        let left = match gone {
            Sender::Opener => server,
            Sender::Acceptor => client,
        };
        abort(left);
    }
}

struct Direction<'a> {
    sender: Sender,
    /// Cancelled when this direction has ended.
    ended: &'a CancellationToken,
    /// Cancelled when the other direction has ended.
    other: &'a CancellationToken,
    witness: &'a Witness,
}

/// The buffer of one direction in bytes. The buffers of the system are extra.
const SIZE: usize = 64 << 10;

impl Direction<'_> {
    /// Relays a direction up to its end. The error is the side that has broken the connection.
    async fn carry(self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Sender> {
        let mut buffer = vec![0; SIZE];
        loop {
            let count = self.read(&mut from, &mut buffer).await;
            let count = count.map_err(|_| self.sender)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let bytes = What::Bytes(self.sender, bytes.to_vec());
            self.witness.tell(bytes).await;
            let bytes = buffer.get(..count).unwrap_or_default();
            let written = tokio::select! {
                biased;
                written = to.write_all(bytes) => written,
                // A receiver that reads nothing still has to see that the sender has broken the connection.
                () = broken(&from) => return Err(self.sender),
            };
            if written.is_err() {
                return self.taken_no_more().await;
            }
        }
        self.witness.tell(What::Ended(self.sender, End::Fin)).await;
        self.witness.backlog.end(self.sender);
        match to.shutdown().await {
            Ok(()) => {}
            // The receiver has closed meanwhile, and the other direction shows how.
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(_) => return self.taken_no_more().await,
        }
        self.ended.cancel();
        // Only this finds a reset after the end.
        tokio::select! {
            biased;
            () = self.other.cancelled() => Ok(()),
            () = broken(&from) => Err(self.sender),
        }
    }

    /// Reads the next bytes. If none have come yet, the tap is not behind.
    async fn read(&self, from: &mut ReadHalf<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        let backlog = &self.witness.backlog;
        let count = match from.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                backlog.end(self.sender);
                from.read(buffer).await
            }
            read => read,
        };
        backlog.begin(self.sender);
        count
    }

    /// The receiver has broken the connection. What it sent before is relayed first.
    async fn taken_no_more(&self) -> Result<(), Sender> {
        self.other.cancelled().await;
        Err(self.sender.other())
    }
}

/// Ends a connection by a reset.
pub(super) fn abort(stream: TcpStream) {
    // If the option cannot be set, the peer sees a FIN instead.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// Waits until a connection has an error.
async fn broken(stream: &ReadHalf<'_>) {
    let error = || -> io::Result<Option<io::Error>> { stream.as_ref().take_error() };
    while let Ok(ready) = stream.ready(Interest::ERROR).await {
        if ready.is_error() || matches!(error(), Ok(Some(_))) {
            return;
        }
    }
}
