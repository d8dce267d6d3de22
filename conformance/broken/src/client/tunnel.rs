//! A tunnel: the data connection, TRS, and the connection to the target.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{sleep, timeout};

use super::ahead::Open;
use super::shared::{LONG, Mapping, Shared};
use crate::lines::{Stream, bytes, integer, shaped};
use crate::relay::{End, read_early, relay};
use crate::{Bug, Manner, chance};

/// The deadline for a connection to a target.
const DIAL_TIME: Duration = Duration::from_secs(9);

/// A data connection and its target.
pub(super) struct Tunnel {
    pub(super) shared: Arc<Shared>,
    /// The index of the mapping.
    pub(super) index: usize,
    /// The port as the server wrote it.
    pub(super) port: Vec<u8>,
    pub(super) token: Vec<u8>,
    /// Data connections that are already open.
    pub(super) ahead: Option<Arc<Open>>,
}

/// What became of the target before the data connection was opened.
enum Early {
    /// The client connects to it after TRS.
    NotTried,
    Connected(TcpStream),
    Refused,
}

impl Tunnel {
    /// Runs the tunnel until it ends. Returns whether the login goes on, which only bugs deny.
    pub(super) async fn run(self) -> bool {
        let shared = &self.shared;
        let index = self.target_index();
        let target = shared.mappings[index].target.clone();
        let shares = |mapping: &Mapping| mapping.target == target;
        if shared.has(Bug::SharedTargetRefused)
            && shared.mappings.iter().position(shares) < Some(index)
        {
            return true;
        }
        let early = self.dial_early(&target).await;
        if shared.has(Bug::RefusedTargetNoData) && matches!(early, Early::Refused) {
            return true;
        }
        if shared.has(Bug::DataLate) {
            sleep(Duration::from_secs(7)).await;
        }
        let Some((mut reader, mut writer)) = self.data_connection().await else {
            return true;
        };
        if shared.has(Bug::TrsLate) {
            sleep(Duration::from_secs(6)).await;
        }
        if shared.has(Bug::RefusedTargetNoTrs) && TcpStream::connect(&target).await.is_err() {
            let _ = writer.shutdown().await;
            return true;
        }
        if self.send_trs(&mut writer).await.is_err() {
            return true;
        }
        let mut received = self.before_dial(&mut reader).await;
        let target = match early {
            Early::NotTried => self.dial(&target).await,
            Early::Connected(stream) => Ok(stream),
            Early::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
        };
        let Ok(target) = target else {
            return self.target_failed(reader, writer).await;
        };
        if shared.has(Bug::EarlyUserEndCloses) {
            let mut piece = vec![0; 64 * 1024];
            if let Some(count) = read_soon(&mut reader, &mut piece).await {
                received = piece[..count].to_vec();
                if read_soon(&mut reader, &mut piece).await == Some(0) {
                    return true;
                }
            }
        }
        let (mut far_reader, far_writer) = target.into_split();
        self.before_relay(&mut reader, &mut writer, &mut far_reader, &mut received)
            .await;
        let data = End {
            reader,
            writer,
            received,
        };
        let far = End {
            reader: far_reader,
            writer: far_writer,
            received: Vec::new(),
        };
        let broke = relay(data, far, shared.bug, &shared.mixer).await;
        if shared.has(Bug::TrsAgainWhenClosed) && !shared.closed_once.swap(true, Ordering::Relaxed)
        {
            let shared = shared.clone();
            let again = Self { shared, ..self };
            return Box::pin(again.run()).await;
        }
        !(broke && shared.has(Bug::BrokenTunnelEndsControl))
    }

    /// The mapping to whose target the client connects.
    fn target_index(&self) -> usize {
        let next = (self.index + 1) % self.shared.mappings.len();
        match self.shared.bug {
            Some(Bug::TargetAlwaysFirst) => 0,
            Some(Bug::TargetOfSecondIsFirst) if self.index == 1 => 0,
            Some(Bug::WrongTargetByChance) if chance::strikes() => next,
            Some(Bug::TargetOfNext) => next,
            _ => self.index,
        }
    }

    /// Connects to the target before the data connection is opened, as a bug and a slow client do.
    async fn dial_early(&self, target: &str) -> Early {
        if self.shared.has(Bug::RefusedTargetNoData) {
            return match TcpStream::connect(target).await {
                Ok(stream) => Early::Connected(stream),
                Err(_) => Early::Refused,
            };
        }
        if self.shared.manner != Manner::Slow {
            return Early::NotTried;
        }
        // As the original client, it tries again for some seconds if the target refuses.
        let mut early = Early::Refused;
        for _ in 0..3 {
            match timeout(DIAL_TIME, TcpStream::connect(target)).await {
                Ok(Ok(stream)) => {
                    early = Early::Connected(stream);
                    break;
                }
                Ok(Err(_)) => sleep(Duration::from_secs(1)).await,
                Err(_) => break,
            }
        }
        sleep(Duration::from_secs(1)).await;
        early
    }

    /// A data connection: one that is already open, or a new one.
    async fn data_connection(&self) -> Option<(ReadHalf<Stream>, WriteHalf<Stream>)> {
        let shared = &self.shared;
        let secure = shared.secure && !shared.has(Bug::DataWithoutTls);
        let open = self.ahead.as_ref().and_then(|open| open.take());
        let stream = match open {
            Some(stream) => stream,
            None => {
                let connection = shared.connect(secure, &shared.data_connector);
                connection.await.ok()?
            }
        };
        Some(split(stream))
    }

    async fn send_trs(&self, writer: &mut WriteHalf<Stream>) -> io::Result<()> {
        let shared = &self.shared;
        let number = integer(&self.port);
        let port = match shared.bug {
            Some(Bug::IntegerEchoed) => self.port.clone(),
            Some(Bug::IntegerWithPlus) => format!("+{number}").into_bytes(),
            Some(Bug::TrsPortSigned) if number >= 0x8000 => {
                (number - 0x1_0000).to_string().into_bytes()
            }
            Some(Bug::TrsPortOfFirst) => shared.mappings[0].remote_port.to_string().into_bytes(),
            _ => number.to_string().into_bytes(),
        };
        let mut trs = shaped(shared.bug, &bytes(&[b"TRS", &self.token, &port]));
        match shared.bug {
            Some(Bug::LfAfterTrs) => trs.push(b'\n'),
            Some(Bug::BannerAfterTrs) => trs.extend(b"welcome\r\n"),
            _ => {}
        }
        if shared.has(Bug::TrsAfterEmptyLine) {
            let _ = writer.write_all(b"\n").await;
        }
        writer.write_all(&trs).await?;
        writer.flush().await
    }

    /// What bugs do between TRS and the connection to the target. Returns the bytes that they have read.
    async fn before_dial(&self, reader: &mut ReadHalf<Stream>) -> Vec<u8> {
        match self.shared.bug {
            Some(Bug::FirstSegmentLost) => {
                let _ = read_soon(reader, &mut vec![0; 64 * 1024]).await;
                Vec::new()
            }
            Some(Bug::TargetLate) => {
                sleep(Duration::from_secs(7)).await;
                Vec::new()
            }
            Some(Bug::EarlyBytesAtMost64Kib) => read_early(reader, 64 << 10).await,
            Some(Bug::EarlyBytesAsText) => {
                let received = read_early(reader, 1 << 20).await;
                String::from_utf8_lossy(&received).into_owned().into()
            }
            _ => Vec::new(),
        }
    }

    /// Connects to the target.
    async fn dial(&self, target: &str) -> io::Result<TcpStream> {
        let patience = match self.shared.bug {
            Some(Bug::TargetGivenUpEarly) => Duration::from_secs(3),
            Some(Bug::TargetGivenUpNearlyEnough) => Duration::from_secs(6),
            Some(Bug::TargetNeverGivenUp) => LONG * 60,
            _ => DIAL_TIME,
        };
        let dialled = timeout(patience, TcpStream::connect(target)).await;
        dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Closes the data connection after the target could not be reached. Returns whether the login goes on.
    async fn target_failed(
        &self,
        mut reader: ReadHalf<Stream>,
        mut writer: WriteHalf<Stream>,
    ) -> bool {
        let shared = &self.shared;
        match shared.bug {
            Some(Bug::RefusalTold) => {
                let _ = writer.write_all(b"cannot connect\r\n").await;
            }
            Some(Bug::RefusedTargetHangs) => sleep(LONG).await,
            Some(Bug::RefusedTargetClosedLate) => sleep(Duration::from_secs(20)).await,
            _ => {}
        }
        // With unread bytes, also of TLS, the close would become a reset, and TRS could be lost.
        let close = async {
            let _ = writer.shutdown().await;
            while let Ok(1..) = reader.read(&mut [0; 4096]).await {}
        };
        let _ = timeout(Duration::from_secs(1), close).await;
        !shared.has(Bug::RefusedTargetEndsControl)
    }

    /// What bugs do between the connection to the target and the first bytes of the tunnel.
    async fn before_relay(
        &self,
        reader: &mut ReadHalf<Stream>,
        writer: &mut WriteHalf<Stream>,
        far_reader: &mut OwnedReadHalf,
        received: &mut Vec<u8>,
    ) {
        match self.shared.bug {
            Some(Bug::BannerLost) => {
                let mut lost = [0; 4096];
                let _ = timeout(Duration::from_millis(100), far_reader.read(&mut lost)).await;
            }
            Some(Bug::QuietTunnelPoked) => {
                let mut first = vec![0; 64 * 1024];
                match timeout(Duration::from_secs(1), reader.read(&mut first)).await {
                    Ok(Ok(count)) => *received = first[..count].to_vec(),
                    _ => {
                        let _ = writer.write_all(b"\0").await;
                        let _ = writer.flush().await;
                    }
                }
            }
            _ => {}
        }
    }
}

/// How many bytes come within 200 milliseconds; 0 if the direction ends.
async fn read_soon(reader: &mut ReadHalf<Stream>, buffer: &mut [u8]) -> Option<usize> {
    let read = timeout(Duration::from_millis(200), reader.read(buffer)).await;
    read.ok()?.ok()
}
