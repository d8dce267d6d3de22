//! `run --record`: writes what each case sends and receives to its own file.

use std::io;
use std::path::Path;

use netroxy_judge::recording::{LONGEST, Source};
use netroxy_judge::run::Job;
use netroxy_judge::transcript::Transcript;

use super::complaint::{Complaint, place_complaint};
use super::exit::EXIT_HARNESS;
use crate::output::{Folder, Readers};

/// The recordings of a run.
pub(super) struct Records {
    folder: Folder,
    /// The first recording that could not be written, and why.
    first: Option<(String, io::Error)>,
    /// How many recordings could not be written.
    missing: u64,
}

impl Records {
    /// Checks the folder before anything is played.
    pub(super) fn check(folder: &Path) -> Result<Self, Complaint> {
        // Recordings hold passwords.
        let folder = Folder::find(folder, Readers::Owner);
        let folder = folder.map_err(|error| place_complaint(&error))?;
        Ok(Self {
            folder,
            first: None,
            missing: 0,
        })
    }

    /// Writes the recording of a case. [`missing`](Self::missing) reports an error at the end.
    pub(super) fn write(&mut self, job: &Job, transcript: &Transcript) {
        let id = job.id();
        let source = Source::Case(job.entry.case.role.value);
        let text = transcript.recorded(&id, source, job.transport).to_string();
        let name = format!("{id}.recording");
        let written = match text.len() <= LONGEST {
            true => self.folder.write(&name, text.as_bytes()),
            false => Err(io::Error::other("the recording is too long")),
        };
        if let Err(error) = written {
            self.missing += 1;
            self.first.get_or_insert((name, error));
        }
    }

    /// The error about recordings that could not be written.
    pub(super) fn missing(self) -> Option<Complaint> {
        let (name, error) = self.first?;
        let others = match self.missing {
            0 | 1 => String::new(),
            2 => "; 1 more recording is missing".to_owned(),
            count => format!("; {} more recordings are missing", count - 1),
        };
        let file = self.folder.join(&name);
        let message = format!("cannot write {}: {error}{others}", file.display());
        Some(
            Complaint::new(EXIT_HARNESS, message)
                .hint("check that the folder exists and the disk is not full"),
        )
    }
}
