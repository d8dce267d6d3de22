//! The users of the chaos. What each of them does is random.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::scene::{Door, Scene, carried, compare, judge};
use crate::talk::{Order, Plan, reset};
use crate::user::{Outcome, visit};

/// Users connect one after the other until the run is over.
pub(crate) async fn connect_repeatedly(scene: Arc<Scene>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !scene.over.is_cancelled() {
        sleep(Duration::from_millis(random.u64(0..600))).await;
        let door = match random.u8(..100) {
            0..90 => Door::Talker,
            90..94 => Door::Refuser,
            94..97 => Door::Full,
            97.. => Door::Silent,
        };
        match door {
            Door::Talker => talk(&scene, &mut random).await,
            other => use_silent_target(&scene, other, &mut random).await,
        }
    }
}

/// A size, small ones more often.
fn size(random: &mut fastrand::Rng) -> u64 {
    match random.u8(..100) {
        0..10 => 0,
        10..65 => random.u64(1..4 * 1024),
        65..95 => random.u64(4 * 1024..128 * 1024),
        95.. => random.u64(128 * 1024..1024 * 1024),
    }
}

async fn talk(scene: &Scene, random: &mut fastrand::Rng) {
    let id = scene.next.fetch_add(1, Ordering::Relaxed);
    let (up, down) = (size(random), size(random));
    let order = match random.u8(..4) {
        0 => Order::Both,
        1 => Order::UserFirst,
        2 => Order::ServiceFirst,
        _ => Order::Echo,
    };
    let somewhere = random.u64(..up + down + 1);
    let (resets, service_resets) = match random.u8(..100) {
        0..2 => (0, u64::MAX),
        2..8 => (somewhere.max(1), u64::MAX),
        8..14 => (u64::MAX, somewhere),
        _ => (u64::MAX, u64::MAX),
    };
    let plan = Plan {
        id,
        seed: random.u64(..),
        up,
        down,
        order,
        service_resets,
    };
    let port = scene.ports[Door::Talker as usize];
    if scene.leaks && random.u8(..16) == 0 {
        if let Ok(tcp) = crate::user::open(port, u64::MAX).await {
            // The connection stays open until this program ends.
            std::mem::forget(tcp);
        }
        return;
    }
    let visit = visit(port, &plan, resets).await;
    let mut fault = judge(scene, &visit, service_resets != u64::MAX);
    if fault.is_none() {
        fault = compare(scene, &plan, &visit).await;
    }
    if let Outcome::Used(crate::talk::End::Complete) = visit.outcome {
        carried(scene, plan.upload().total() + plan.download().total());
    }
    if let Some(fault) = fault {
        let lived = visit.end - visit.start;
        scene.tally.fault(format!(
            "tunnel {id} {order:?}, up {up}, down {down}, after {} ms: {fault}",
            lived.as_millis()
        ));
    }
    if visit.first_byte.is_none() {
        // The port has no listener for a moment.
        sleep(Duration::from_millis(random.u64(50..300))).await;
    }
}

/// A user of a target that sends no byte.
async fn use_silent_target(scene: &Scene, door: Door, random: &mut fastrand::Rng) {
    scene.next.fetch_add(1, Ordering::Relaxed);
    let start = Instant::now();
    let stays = Duration::from_millis(match door {
        // The user must see the refusal. The client waits 10 s for a target.
        Door::Refuser => 20_000,
        _ => random.u64(100..4_000),
    });
    let seen = match timeout(stays, refused(scene, door, random)).await {
        Err(_) => match door {
            Door::Refuser => Err("its user sees no end within 20 s".to_owned()),
            _ => Ok("users that left a target that does not answer".to_owned()),
        },
        Ok(seen) => seen,
    };
    match seen {
        Ok(kind) => scene.tally.count(kind),
        Err(fault) => {
            let lived = start.elapsed().as_millis();
            scene
                .tally
                .fault(format!("{door:?} after {lived} ms: {fault}"));
        }
    }
}

async fn refused(scene: &Scene, door: Door, random: &mut fastrand::Rng) -> Result<String, String> {
    let start = Instant::now();
    let mut tcp = match TcpStream::connect(scene.ports[door as usize]).await {
        Ok(tcp) => tcp,
        Err(error) => {
            return match scene.faults.may_have_no_port(start, Instant::now()) {
                true => Ok(format!("no port: {}", error.kind())),
                false => Err(format!(
                    "the port had no listener, without a cause: {error}"
                )),
            };
        }
    };
    if random.bool() {
        let bytes = vec![b'x'; random.usize(1..100_000)];
        // It fails if the target refuses meanwhile.
        let _ = timeout(Duration::from_secs(1), tcp.write_all(&bytes)).await;
    }
    let mut byte = [0];
    match tcp.read(&mut byte).await {
        Ok(1..) => Err("a byte came from a target that sends nothing".to_owned()),
        Ok(0) | Err(_) => {
            if random.bool() {
                reset(&tcp);
            }
            Ok("refused by the target".to_owned())
        }
    }
}
