//! `serve`: shows the reports of a folder in a browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use netroxy_judge::sut::Subject;
use netroxy_judge::wire::Tls;
use netroxy_specification::notation::ast::Side;
use netroxy_specification::rules::Rule;

use super::complaint::{Complaint, manifest_complaint};
use super::exit::{EXIT_HARNESS, EXIT_USAGE};
use super::select::all;
use super::signals::stop_on_interrupt;
use crate::serve::{Served, Server};
use crate::{peers, report};

const EXIT_CODES: &str = "Exit codes: 0 stopped by a signal, 2 wrong usage or manifest, or the address cannot be used, \
5 the suite itself failed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Serve {
    /// The folder of JSON reports, as `--report json:PATH` writes them; load a page again to see new ones
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The address for browsers; port 0 chooses a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8400")]
    listen: SocketAddr,
    /// Allow an address that other machines can reach. There is no login: anyone who can reach it can read the reports
    /// and play cases
    #[arg(long)]
    allow_remote: bool,
    /// A program that cases can be played against, besides the embedded reference: a manifest file, or the name of a
    /// built-in one; may be given several times
    #[arg(long, value_name = "FILE")]
    sut: Vec<String>,
}

pub(super) async fn execute(serve: &Serve, rules: &[Rule]) -> Result<u8, Complaint> {
    let Serve {
        folder,
        listen,
        allow_remote,
        sut,
    } = serve;
    let usage = |message: String| Complaint::new(EXIT_USAGE, message);
    if !folder.is_dir() {
        let message = format!("{} is not a folder", folder.display());
        return Err(usage(message).hint("name the folder of the JSON reports"));
    }
    let ip = listen.ip();
    if ip.is_unspecified() {
        let message = format!("{ip} stands for every address of this machine");
        return Err(usage(message)
            .hint("name one address, so that requests under other names can be refused"));
    }
    if !ip.is_loopback() && !allow_remote {
        let message = format!("other machines can reach {ip}, and there is no login");
        return Err(usage(message).hint("listen on 127.0.0.1, or give --allow-remote"));
    }
    let served = Served {
        rules: rules.into(),
        entries: all()?,
        subjects: subjects(sut)?,
        tls: Tls::new().map_err(|error| Complaint::new(EXIT_HARNESS, format!("TLS: {error}")))?,
    };
    let stop = stop_on_interrupt();
    let server = Server::bind(*listen, folder, served, stop).await;
    let server = server.map_err(|error| {
        usage(format!("cannot listen on {listen}: {error}"))
            .hint("choose another port: --listen 127.0.0.1:0")
    })?;
    let failed = |error: std::io::Error| Complaint::new(EXIT_HARNESS, format!("serving: {error}"));
    let address = server.address().map_err(failed)?;
    report::out(&format!(
        "serving {} at http://{address}/\n",
        folder.display()
    ));
    server.run().await.map_err(failed)?;
    Ok(0)
}

/// The subjects that cases can be played against: each named program, the reference, and each pair of them.
fn subjects(files: &[String]) -> Result<Vec<Arc<Subject>>, Complaint> {
    let (mut servers, mut clients) = (Vec::new(), Vec::new());
    for file in files {
        let manifest = peers::manifest(file).map_err(manifest_complaint)?;
        match manifest.role {
            Side::Server => servers.push(manifest),
            Side::Client => clients.push(manifest),
        }
    }
    let reference = |side| peers::reference(side).map_err(manifest_complaint);
    servers.push(reference(Side::Server)?);
    clients.push(reference(Side::Client)?);
    let mut subjects: Vec<Subject> = servers
        .iter()
        .chain(&clients)
        .cloned()
        .map(Subject::Started)
        .collect();
    for server in &servers {
        let pairs = clients
            .iter()
            .map(|client| (server.clone(), client.clone()));
        subjects.extend(pairs.map(|pair| Subject::Pair(Box::new(pair))));
    }
    for (at, subject) in subjects.iter().enumerate() {
        if subjects[..at]
            .iter()
            .any(|other| other.name() == subject.name())
        {
            let message = format!("--sut: two programs have the name {}", subject.name());
            return Err(Complaint::new(EXIT_USAGE, message)
                .hint("give them different names in their manifests"));
        }
    }
    Ok(subjects.into_iter().map(Arc::new).collect())
}
