//! A codec: a program that answers each line by a line.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::descriptors::Noted as _;
use crate::sut::{Family, note_survivors};
use crate::times::CODEC_END;

/// A started codec, in a process group of its own. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Codec {
    child: Child,
    group: Group,
    /// `None` after it was closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Why there is no answer. The codec cannot be used afterwards.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It has ended, or closed its input or output.
    #[error("it gave no answer: {0}")]
    Ended(String),
    /// Nothing came in time.
    #[error("no answer within {:.1} s", .0.as_secs_f64())]
    Silent(Duration),
    /// The answer came only after the end of the input.
    #[error(
        "no answer within {:.1} s, and one when its input was closed: it keeps its output in a buffer; let it flush \
         after each answer (in Python `print(..., flush=True)` or `python3 -u`, in C `fflush`; `stdbuf -oL` helps some \
         programs)",
        .0.as_secs_f64()
    )]
    Unflushed(Duration),
    /// The line has no end.
    #[error("an answer of more than {} bytes without LF", LONGEST)]
    Flood,
    /// There were more lines than questions.
    #[error(
        "it wrote a line before it was asked; its standard output is for answers only, so a wrapper has to write \
         everything else to standard error"
    )]
    Unasked,
}

/// The longest answer in bytes.
const LONGEST: usize = 8 << 20;

impl Codec {
    /// Starts a program. It inherits the standard error of the suite.
    pub(super) fn start(command: &[OsString]) -> io::Result<Self> {
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| wrong("an empty command"))?;
        let mut family = Family::new(None);
        let mut child = Command::new(program)
            .args(arguments)
            .env(Family::VARIABLE, family.mark())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .noted()?;
        family.leader(child.id());
        let input = child.stdin.take().ok_or_else(|| wrong("no input"))?;
        let output = child.stdout.take().ok_or_else(|| wrong("no output"))?;
        Ok(Self {
            child,
            group: Group(family),
            input: Some(input),
            output: BufReader::new(output),
        })
    }

    /// Sends a line and waits for one.
    pub(super) async fn ask(&mut self, line: &str, deadline: Duration) -> Result<Vec<u8>, Trouble> {
        if !self.output.buffer().is_empty() {
            return Err(Trouble::Unasked);
        }
        let (input, output) = (&mut self.input, &mut self.output);
        let write = async {
            let input = input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            input.write_all(line.as_bytes()).await?;
            input.write_all(b"\n").await?;
            input.flush().await
        };
        let write = async {
            write
                .await
                .map_err(|error| Trouble::Ended(error.to_string()))
        };
        // Both at once, because a codec may write without reading.
        let exchange = async { tokio::try_join!(write, read_line(output)) };
        match timeout(deadline, exchange).await {
            Ok(Ok(((), answer))) => Ok(answer),
            Ok(Err(Trouble::Ended(why))) => Err(Trouble::Ended(self.ended().await.unwrap_or(why))),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) if self.answers_at_the_end().await => Err(Trouble::Unflushed(deadline)),
            Err(_) => Err(Trouble::Silent(deadline)),
        }
    }

    /// Closes its input; true if an answer comes then.
    async fn answers_at_the_end(&mut self) -> bool {
        self.input = None;
        matches!(
            timeout(CODEC_END, read_line(&mut self.output)).await,
            Ok(Ok(_))
        )
    }

    /// Ends it and everything that it has started.
    pub(super) async fn stop(self) {
        let Self {
            mut child, group, ..
        } = self;
        drop((self.input, self.output));
        // It may end by itself first, for example to write its code coverage.
        let _ = timeout(CODEC_END, child.wait()).await;
        drop(group);
        // Waiting leaves no zombie, and takes no time after the kill.
        let _ = child.wait().await;
    }

    /// Kills it.
    pub(super) async fn kill(self) {
        let Self {
            mut child, group, ..
        } = self;
        drop(group);
        let _ = child.wait().await;
    }

    async fn ended(&mut self) -> Option<String> {
        let status = timeout(CODEC_END, self.child.wait()).await.ok()?.ok()?;
        Some(format!("it has ended, {status}"))
    }
}

/// Killed when dropped.
#[derive(Debug)]
struct Group(Family);

impl Drop for Group {
    fn drop(&mut self) {
        note_survivors(&self.0.kill());
        self.0.end();
    }
}

/// A line without its LF.
async fn read_line(output: &mut BufReader<ChildStdout>) -> Result<Vec<u8>, Trouble> {
    let mut line = Vec::new();
    loop {
        let read = output.fill_buf().await;
        let read = read.map_err(|error| Trouble::Ended(error.to_string()))?;
        if read.is_empty() {
            return Err(Trouble::Ended("it has closed its output".to_owned()));
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
        let taken = end.map_or(read.len(), |end| end + 1);
        output.consume(taken);
        if end.is_some() {
            return Ok(line);
        }
        if line.len() > LONGEST {
            return Err(Trouble::Flood);
        }
    }
}
