//! `template`: prints the beginning of a case for a rule.

use std::fmt::Write as _;

use netroxy_judge::again::Again;
use netroxy_specification::catalog;
use netroxy_specification::nearest::nearest;
use netroxy_specification::notation::print;
use netroxy_specification::rules::{self, Rule};

use super::complaint::Complaint;
use super::exit::{EXIT_HARNESS, EXIT_LOOKED_UP, EXIT_NOTHING, EXIT_USAGE};
use super::role::RoleName;
use crate::report;

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_LOOKED_UP)]
pub(super) struct Template {
    /// The rule that the case is to judge, such as tunnel.half-close
    rule: String,
    /// The role to judge [default: the one that the rule binds; the server, if it binds both]
    #[arg(long, value_enum)]
    role: Option<RoleName>,
}

pub(super) fn execute(template: &Template, rules: &[Rule]) -> Result<u8, Complaint> {
    let id = template.rule.as_str();
    let Some(rule) = rules.iter().find(|rule| rule.id == id) else {
        let complaint = Complaint::new(EXIT_NOTHING, format!("no rule is called `{id}`"));
        let hint = nearest(id, rules.iter().map(|rule| rule.id.as_str()));
        let all = || "`netroxy-conformance list rules` shows them all".to_owned();
        return Err(complaint.hint(hint.unwrap_or_else(all)));
    };
    if let Some(why) = &rule.unjudged {
        let complaint = Complaint::new(EXIT_USAGE, format!("{id} is not judged: {why}"));
        return Err(complaint.hint(format!("`{}` shows it", Again::new(["explain", id]))));
    }
    let role = match (template.role, rule.subject.as_str()) {
        (Some(RoleName::Server), "client") | (Some(RoleName::Client), "server") => {
            let message = format!("{id} binds {}s", rule.subject);
            return Err(Complaint::new(EXIT_USAGE, message).hint("leave --role out"));
        }
        (Some(role), _) => role,
        (None, "client") => RoleName::Client,
        (None, _) => RoleName::Server,
    };
    report::out(&text(rule, role)?);
    Ok(0)
}

/// A case in its canonical form. Its only marked step expects silence.
fn text(rule: &Rule, role: RoleName) -> Result<String, Complaint> {
    let (name, config, steps) = match role {
        RoleName::Server => ("server", "", SERVER),
        RoleName::Client => ("client", CONFIG, CLIENT),
        RoleName::Pair => ("pair", CONFIG, PAIR),
    };
    let mut text = format!(
        "title    what must hold, in one sentence\nrole     {name}\nrules    {}\n{config}over     plain tls\n\n",
        rule.id
    );
    let place = format!("{} {}  {}:{}", rule.id, rule.level, rules::FILE, rule.line);
    let says = report::wrapped(&report::plain(&rule.text), 76, "");
    for line in std::iter::once(place.as_str()).chain(says.lines()) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# {line}");
    }
    let _ = write!(
        text,
        "# The steps without a mark prepare. A marked step judges: replace it by what must come.\n\
         # {}/notation.md has all steps.\n\n{}",
        rules::FOLDER,
        steps.replace("RULE", &rule.id)
    );
    let entry = catalog::read("template", "template", &text)
        .map_err(|error| Complaint::new(EXIT_HARNESS, format!("no case: {error}")))?;
    Ok(print(&entry.case))
}

const CONFIG: &str = "config   map $port -> $target\n";

const SERVER: &str = "ctl   connect server\n\
    ctl   > ATH $name $username $password\n\
    ctl   < ARS true _ ?token\n\
    ctl   > MAP $port 127.0.0.1:9 true\n\
    ctl   < MRS $port true\n\
    user  connect $port\n\
    ctl   < TRQ $port\n\
    tun   connect server\n\
    tun   > TRS $token $port\n\
    user  >> \"ping\"\n\
    tun   << \"ping\"\n\
    tun   >> \"pong\"\n\
    user  << \"pong\"\n\
    ctl   < silence  [RULE]\n";

const CLIENT: &str = "ctl   accept\n\
    ctl   < ATH _ $username $password\n\
    ctl   > ARS true 30 $token\n\
    ctl   < MAP $port $target true\n\
    ctl   > MRS $port true\n\
    ctl   > TRQ $port\n\
    tun   accept\n\
    tun   < TRS $token $port\n\
    tgt   accept $target\n\
    tun   >> \"ping\"\n\
    tgt   << \"ping\"\n\
    tgt   >> \"pong\"\n\
    tun   << \"pong\"\n\
    ctl   < silence  [RULE]\n";

const PAIR: &str = "user  connect $port\n\
    svc   accept $target\n\
    user  >> \"ping\"\n\
    svc   << \"ping\"\n\
    svc   >> \"pong\"\n\
    user  << \"pong\"\n\
    user  < silence  [RULE]\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_is_judged_has_a_template_for_each_role() {
        let rules = rules::embedded().unwrap();
        for rule in rules.iter().filter(|rule| rule.unjudged.is_none()) {
            for role in [RoleName::Server, RoleName::Client, RoleName::Pair] {
                let text = text(rule, role).unwrap();
                assert!(text.contains(&format!("[{}]\n", rule.id)), "{text}");
                assert!(text.lines().all(|line| line.len() <= 100), "{text}");
            }
        }
    }
}
