//! The subcommands `completions` and `man` of the programs. Packages install what they print.
//!
//! This crate has no code of the protocol, so the programs and the conformance suite may share it.

use std::collections::BTreeSet;
use std::io::{self, Write};

use clap::{Command, Subcommand, ValueEnum};
pub use clap_complete::Shell;
use clap_mangen::Man;

/// Texts that are made of a program's own flags, so they always name exactly these.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Manual {
    /// Print a script that lets a shell complete the flags and commands of this program
    #[command(after_help = EXIT_CODES)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, for 'man -l'
    #[command(after_help = EXIT_CODES)]
    Man,
}

const EXIT_CODES: &str =
    "Exit codes: 0 printed, 2 wrong usage, any other: cannot write to standard output.";

impl Manual {
    /// Prints the text for a program to stdout.
    ///
    /// # Errors
    ///
    /// That stdout cannot be written to.
    pub fn run(self, program: Command) -> io::Result<()> {
        let text = self.text(program)?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&text)?;
        stdout.flush()
    }

    /// The text that [`run`](Self::run) prints.
    ///
    /// # Errors
    ///
    /// None in practice, because nothing is read or written.
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

/// The flags of a program and of its commands, like `status --json`, each with its environment variable or an empty
/// text.
#[must_use]
pub fn flags(program: &Command) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    collect("", program, &mut all);
    all
}

fn collect(path: &str, command: &Command, all: &mut BTreeSet<(String, String)>) {
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long() else {
            continue;
        };
        let variable = argument.get_env().and_then(|name| name.to_str());
        let flag = format!("{path} --{flag}").trim_start().to_owned();
        all.insert((flag, variable.unwrap_or_default().to_owned()));
    }
    for sub in command.get_subcommands() {
        let name = format!("{path} {}", sub.get_name());
        all.insert((name.trim_start().to_owned(), String::new()));
        collect(name.trim_start(), sub, all);
    }
}

/// The flags, commands and variables of a program that its manual page or completions do not name. The tests of the
/// programs check that the list is empty.
///
/// # Errors
///
/// None in practice, because nothing is read or written.
pub fn missing(program: &Command) -> io::Result<Vec<String>> {
    let mut missing = Vec::new();
    let shells = Shell::value_variants().iter();
    let completions = shells.map(|shell| Manual::Completions { shell: *shell });
    for manual in completions.chain([Manual::Man]) {
        let text = manual.text(program.clone())?;
        let text = plain(&String::from_utf8_lossy(&text));
        let words: BTreeSet<_> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .map(|word| word.trim_start_matches('-').to_ascii_lowercase())
            .collect();
        for (flag, variable) in flags(program) {
            let last = flag.rsplit(' ').next().unwrap_or_default();
            if !words.contains(last.trim_start_matches('-')) {
                missing.push(format!("{manual:?}: {flag}"));
            }
            if matches!(manual, Manual::Man) && !text.contains(&variable) {
                missing.push(format!("{manual:?}: {variable}"));
            }
        }
    }
    Ok(missing)
}

/// A manual page without its marks for fonts, and without the backslashes before hyphens.
fn plain(text: &str) -> String {
    [r"\fB", r"\fI", r"\fR"]
        .iter()
        .fold(text.replace(r"\-", "-"), |text, font| {
            text.replace(font, " ")
        })
}

/// One page with all commands, so that each command that it names is on it.
fn page(program: Command, text: &mut Vec<u8>) -> io::Result<()> {
    // 'help COMMAND' prints what this page has anyway.
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
        // The text has its own line breaks and columns, so the page must not fill its lines.
        let notes = String::from_utf8_lossy(&notes);
        let notes = notes.replace("\n.SH EXTRA\n", "\n.SH NOTES\n.nf\n");
        writeln!(text, "{notes}.fi")?;
    }
    man.render_version_section(text)
}

/// A section for a command, and one for each command below it.
fn with_subcommands(command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    // The title has the name of the program.
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
