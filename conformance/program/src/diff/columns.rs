//! Two columns, as `diff -y` shows them.

use super::difference::{Block, Row};
use crate::report::width_or;

/// The width of the columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// Characters in each.
    each: usize,
}

impl Columns {
    /// Two columns within `width` characters.
    pub(crate) fn within(width: usize) -> Self {
        Self {
            each: (width.saturating_sub(MARGIN.len() + MARK) / 2).max(NARROWEST),
        }
    }

    /// Two columns as wide as the terminal, or as `COLUMNS` says, or 120 characters.
    pub(crate) fn here() -> Self {
        Self::within(width_or(WIDTH))
    }

    /// The blocks with differences, and a few lines around each difference. The mark between the columns is `|` where
    /// the lines differ, and `<` or `>` where one side has a line that the other lacks.
    pub(crate) fn show(self, blocks: &[Block]) -> String {
        let mut text = String::new();
        let differing = |block: &&Block| block.iter().any(|row| matches!(row, Row::Differs(_)));
        for (index, block) in blocks.iter().filter(differing).enumerate() {
            if index > 0 {
                text.push('\n');
            }
            self.block(&mut text, block);
        }
        text
    }

    /// One row of two texts.
    pub(crate) fn row(self, left: &str, mark: char, right: &str) -> String {
        let (lefts, rights) = (self.wrapped(left), self.wrapped(right));
        let mut text = String::new();
        for index in 0..lefts.len().max(rights.len()) {
            let part = |parts: &[String]| parts.get(index).cloned().unwrap_or_default();
            let (left, right) = (part(&lefts), part(&rights));
            let line = format!("{MARGIN}{left:width$} {mark} {right}", width = self.each);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn block(self, text: &mut String, block: &Block) {
        let differs = |index: usize| matches!(block.get(index), Some(Row::Differs(_)));
        let near = |index: usize| (index.saturating_sub(CONTEXT)..=index + CONTEXT).any(differs);
        let (mut at, mut alike) = (0, 0);
        while let Some(row) = block.get(at) {
            match row {
                Row::Same(_) if !near(at) => alike += 1,
                Row::Same(line) => {
                    self.note(text, &mut alike, [true, true]);
                    text.push_str(&self.row(&narrow(line), ' ', &narrow(line)));
                }
                Row::Differs([left, right]) => {
                    self.note(text, &mut alike, [true, true]);
                    let sides = [left.is_some(), right.is_some()];
                    let mark = match sides {
                        [true, false] => '<',
                        [false, true] => '>',
                        _ => '|',
                    };
                    let side = |side: &Option<String>| narrow(side.as_deref().unwrap_or_default());
                    text.push_str(&self.row(&side(left), mark, &side(right)));
                    // One side stopped at a failure: the further lines of the other side are left out.
                    let alone = |row: &&Row| {
                        matches!(row, Row::Differs([left, right])
                        if mark != '|' && [left.is_some(), right.is_some()] == sides)
                    };
                    let before = block[..at].iter().rev().take_while(alone).count();
                    let mut more = block[at + 1..].iter().take_while(alone).count();
                    if before + 1 >= ALONE && more > 1 {
                        at += more;
                        self.note(text, &mut more, sides);
                    }
                }
            }
            at += 1;
        }
        self.note(text, &mut alike, [true, true]);
    }

    /// Adds a note with the number of left out lines, on these sides.
    fn note(self, text: &mut String, count: &mut usize, sides: [bool; 2]) {
        let note = match count {
            0 => return,
            1 => "... 1 line".to_owned(),
            _ => format!("... {count} lines"),
        };
        let [left, right] = sides.map(|side| if side { note.as_str() } else { "" });
        text.push_str(&self.row(left, ' ', right));
        *count = 0;
    }

    /// Cuts a text into lines of the column's width, at blanks where possible. A text of too many lines ends in `...`.
    fn wrapped(self, text: &str) -> Vec<String> {
        let mut parts = Vec::new();
        let mut rest: Vec<char> = text.chars().collect();
        while rest.len() > self.each && parts.len() < HIGHEST {
            let blank = rest[..=self.each].iter().rposition(|c| *c == ' ');
            let at = blank.filter(|at| *at > self.each / 2).unwrap_or(self.each);
            let tail: String = rest[at..].iter().collect();
            parts.push(rest[..at].iter().collect::<String>().trim_end().to_owned());
            rest = format!("{INDENT}{}", tail.trim_start()).chars().collect();
        }
        if rest.len() > self.each {
            rest.truncate(self.each - CUT.len());
            rest.extend(CUT.chars());
        }
        parts.push(rest.into_iter().collect());
        parts
    }
}

/// Removes the blanks between a step and its marks or comment, because a column has no room for them.
fn narrow(line: &str) -> String {
    match line.split_once("  [").or_else(|| line.split_once("  # ")) {
        Some((step, _)) => {
            let aside = line.get(step.len()..).unwrap_or_default();
            format!("{}  {}", step.trim_end(), aside.trim_start())
        }
        None => line.to_owned(),
    }
}

const MARGIN: &str = "    ";

/// The width of a mark with a blank on each side.
const MARK: usize = 3;

/// The width if neither `COLUMNS` nor a terminal gives one.
const WIDTH: usize = 120;

/// The smallest width of a column.
const NARROWEST: usize = 30;

/// How many equal lines are shown around a difference.
const CONTEXT: usize = 2;

/// How many lines are shown that only one side has.
const ALONE: usize = 4;

/// The most lines of one text, apart from the last one.
const HIGHEST: usize = 5;

/// The indent of the further lines of a text.
const INDENT: &str = "        ";

const CUT: &str = "...";
