//! Looks for leaks, and saves them.

use super::Campaign;
use crate::fuzz::leak::{Burst, TURNS, growth};

impl Campaign<'_> {
    /// Looks for descriptors that the program does not close, and for memory that grows.
    pub(super) async fn find_leaks(&mut self, say: &mut impl FnMut(&str)) {
        for burst in Burst::all(self.runner.settings.side) {
            let jobs = TURNS.map(|turns| {
                let case = burst.case(turns)?;
                let entry = self.runner.entry(case, burst.name.to_owned(), "");
                Some(self.runner.job(entry))
            });
            let [Some(few), Some(many)] = jobs else {
                continue;
            };
            let settings = &self.runner.settings;
            let file = format!("{}-leak-{}.case", settings.side, burst.name);
            let path = settings.out.path(&file);
            let text = many.entry.text.clone();
            let found = self
                .runner
                .stop
                .run_until_cancelled(growth([few, many], &self.runner.tls));
            let Some(Some(found)) = found.await else {
                continue;
            };
            let Some(first) = found.first() else { continue };
            self.result.findings += 1;
            self.result.leaks += 1;
            let saved = settings.out.save(&file, &text);
            let also: String = found[1..].iter().map(|one| format!("; {one}")).collect();
            say(&format!("      LEAK {}: {first}{also}\n", burst.name));
            for line in text.lines().skip_while(|line| !line.is_empty()).skip(1) {
                say(&format!("             {line}\n"));
            }
            say(&match saved {
                Ok(()) => format!("           saved     {}\n\n", path.display()),
                Err(error) => {
                    let why = format!("{}: {error}", path.display());
                    let text = format!("           cannot be saved: {why}\n\n");
                    self.unsaved.get_or_init(|| why);
                    text
                }
            });
        }
    }
}
