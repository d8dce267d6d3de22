//! The subcommands `completions` and `man` of both programs: what packages install beside a program.

use std::io::{self, Write};

use clap::{Command, Subcommand};
pub use clap_complete::Shell;
use clap_mangen::Man;

use crate::program::Failure;

/// Texts that are made of a program's own flags, so they cannot tell others.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Manual {
    /// Print what a shell needs to complete the flags and commands of this program
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, for 'man -l'
    Man,
}

impl Manual {
    /// Prints it for a program, to stdout.
    ///
    /// # Errors
    ///
    /// That stdout cannot be written to.
    pub fn run(self, program: Command) -> Result<(), Failure> {
        let text = self.text(program).map_err(Failure::runtime)?;
        io::stdout()
            .write_all(&text)
            .and_then(|()| io::stdout().flush())
            .map_err(Failure::runtime)
    }

    /// What is printed.
    ///
    /// # Errors
    ///
    /// None that is known: nothing is read or written.
    pub fn text(self, mut program: Command) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        match self {
            Self::Completions { shell } => {
                let name = program.get_name().to_owned();
                clap_complete::generate(shell, &mut program, name, &mut text);
            }
            Self::Man => page(program, &mut text)?,
        }
        Ok(text)
    }
}

/// One page with all commands, so that what it names is on it.
fn page(program: Command, text: &mut Vec<u8>) -> io::Result<()> {
    // 'help COMMAND' says what stands here anyway.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let man = Man::new(program.clone());
    man.render_title(text)?;
    man.render_name_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_description_section(text)?;
    man.render_options_section(text)?;
    for command in program.get_subcommands() {
        with_subcommands(command, text)?;
    }
    if program.get_after_help().is_some() {
        let mut notes = Vec::new();
        man.render_extra_section(&mut notes)?;
        // It has lines and columns of its own.
        let notes = String::from_utf8_lossy(&notes);
        let notes = notes.replace("\n.SH EXTRA\n", "\n.SH NOTES\n.nf\n");
        writeln!(text, "{notes}.fi")?;
    }
    man.render_version_section(text)
}

/// A section for a command, and one for each command below it.
fn with_subcommands(command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    // The name of the program stands in the title.
    let name = name.split_once(' ').map_or(name, |(_, name)| name);
    let man = Man::new(command.clone());
    let mut parts = Vec::new();
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    writeln!(text, ".SH \"{}\"", name.to_uppercase())?;
    let parts = String::from_utf8_lossy(&parts).replace("\n.SH ", "\n.SS ");
    text.extend_from_slice(parts.as_bytes());
    for below in command.get_subcommands() {
        with_subcommands(below, text)?;
    }
    Ok(())
}
