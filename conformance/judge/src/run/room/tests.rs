use std::sync::Arc;

use netroxy_specification::catalog::{Entry, embedded};
use netroxy_specification::notation::ast::{Line, Side, Transport};

use super::*;
use crate::peers;
use crate::run::InPlay;
use crate::times::Tempo;

fn job(entry: Entry, subject: Subject) -> Job {
    Job {
        listens: false,
        excused: true,
        still: crate::times::STILL,
        transport: Transport::Plain,
        entry: Arc::new(entry),
        subject: Arc::new(subject),
        skip: None,
        tempo: Tempo::new(1.0),
        round: None,
        in_play: InPlay::default(),
    }
}

fn reference(side: Side) -> Manifest {
    peers::reference(side).unwrap()
}

fn subject(role: Role) -> Subject {
    match role {
        Role::Server => Subject::Started(reference(Side::Server)),
        Role::Client => Subject::Started(reference(Side::Client)),
        Role::Pair => Subject::Pair(Box::new((reference(Side::Server), reference(Side::Client)))),
    }
}

fn room(size: usize) -> Room {
    Room {
        free: Arc::new(Semaphore::new(size)),
        size,
    }
}

#[test]
fn almost_every_case_fits_into_256_descriptors() {
    for entry in embedded().unwrap().into_values() {
        let (id, role) = (entry.id.clone(), entry.case.role.value);
        let keeps = |line: &Line| matches!(line, Line::Repeat(block) if block.kept);
        // A hundred tunnels at a time fit into 1024 descriptors, the limit of most systems. The mappings of one case do
        // not fit into 256, the limit of some systems: there the case is not played, and its result says so.
        let most = match entry.case.body.iter().any(keeps) {
            true => 1000,
            false if id == "server/map/many" => 280,
            false => 220,
        };
        let need = need(&job(entry, subject(role)));
        assert!((15..most).contains(&need), "{id}: {need}");
    }
}

#[test]
fn only_an_embedded_peer_needs_descriptors_of_the_suite() {
    let entry = embedded().unwrap().remove("server/map/many").unwrap();
    let own = need(&job(entry.clone(), subject(Role::Server)));
    let foreign = Subject::Running(crate::sut::Running {
        plain: "127.0.0.1:1".parse().unwrap(),
        tls: None,
        username: String::new(),
        password: String::new(),
    });
    let foreign = need(&job(entry, foreign));
    // Sixty ports are leased; an embedded server listens on each of them too.
    assert!(foreign >= 60 && own >= foreign + 60, "{own} {foreign}");
}

#[tokio::test]
async fn a_case_waits_for_descriptors_and_is_not_played_if_it_needs_too_many() {
    let entry = embedded()
        .unwrap()
        .remove("server/auth/good-login")
        .unwrap();
    let job = job(entry, subject(Role::Server));
    let need = need(&job);
    let room = room(need * 2 - 1);
    let first = room.enter(&job).await.unwrap();
    let mut second = Box::pin(room.enter(&job));
    assert!(
        tokio::time::timeout(std::time::Duration::ZERO, &mut second)
            .await
            .is_err()
    );
    drop(first);
    assert!(second.await.is_ok());
    let small = Room {
        size: need - 1,
        ..room
    };
    let why = small.enter(&job).await.unwrap_err().to_string();
    assert!(
        why.contains("ulimit -n") && why.contains("was not played"),
        "{why}"
    );
}
