use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::*;

/// A name server that counts look-ups. It answers names with "fast" at once, and others when the test allows it.
struct Slow {
    resolver: Resolver,
    asked: Arc<AtomicUsize>,
    at_a_time: Arc<AtomicUsize>,
    go: Arc<Notify>,
}

fn slow() -> Slow {
    let (asked, at_a_time) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let go = Arc::new(Notify::new());
    let (count, now, wait) = (asked.clone(), at_a_time.clone(), go.clone());
    let resolver = Resolver::new(move |name| {
        let (count, now, wait) = (count.clone(), now.clone(), wait.clone());
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            now.fetch_add(1, Ordering::SeqCst);
            if !name.contains("fast") {
                wait.notified().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            if name.contains("bad") {
                return Err(io::Error::other("no such name"));
            }
            Ok(vec![([192, 0, 2, 1], 0).into()])
        }
    });
    Slow {
        resolver,
        asked,
        at_a_time,
        go,
    }
}

impl Slow {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn ask(&self, name: &str) -> tokio::task::JoinHandle<Answer> {
        let (resolver, name) = (self.resolver.clone(), name.to_owned());
        tokio::spawn(async move { resolver.resolve(&name, 80, Class::Target).await })
    }
}

#[tokio::test(start_paused = true)]
async fn all_users_of_a_name_share_one_look_up() {
    let slow = slow();
    let users: Vec<_> = (0..700).map(|_| slow.ask("db.example")).collect();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.asked(), 1);
    slow.go.notify_one();
    for user in users {
        let addrs = user.await.unwrap().unwrap();
        assert_eq!(addrs, [([192, 0, 2, 1], 80).into()]);
    }
    assert_eq!(slow.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn slow_targets_do_not_delay_the_look_up_of_the_own_peer() {
    let slow = slow();
    let names = 100;
    let users: Vec<_> = (0..names).map(|i| slow.ask(&format!("t{i}"))).collect();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.at_a_time.load(Ordering::SeqCst), TARGETS_AT_A_TIME);
    let own = slow.resolver.resolve("fast.example", 1, Class::Own);
    let own = timeout(Duration::from_secs(1), own).await.unwrap();
    assert_eq!(own.unwrap(), [([192, 0, 2, 1], 1).into()]);
    for user in users {
        while !user.is_finished() {
            slow.go.notify_one();
            sleep(Duration::from_millis(1)).await;
            assert!(slow.at_a_time.load(Ordering::SeqCst) <= TARGETS_AT_A_TIME);
        }
        user.await.unwrap().unwrap();
    }
    assert_eq!(slow.asked(), names + 1);
}

/// The thread of a look-up goes on when no task waits for it, so its slot stays taken.
#[tokio::test(start_paused = true)]
async fn a_cancelled_look_up_keeps_its_slot_if_it_has_begun() {
    let slow = slow();
    let begun: Vec<_> = (0..TARGETS_AT_A_TIME)
        .map(|i| slow.ask(&format!("begun{i}")))
        .collect();
    sleep(Duration::from_secs(1)).await;
    let waiting = slow.ask("waiting");
    sleep(Duration::from_secs(1)).await;
    for user in begun.iter().chain([&waiting]) {
        user.abort();
    }
    sleep(Duration::from_secs(1)).await;
    let last = slow.ask("last");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.asked(), TARGETS_AT_A_TIME, "all slots are still taken");
    slow.go.notify_one();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.asked(), TARGETS_AT_A_TIME + 1);
    while !last.is_finished() {
        slow.go.notify_one();
        sleep(Duration::from_millis(1)).await;
    }
    last.await.unwrap().unwrap();
    assert_eq!(
        slow.asked(),
        TARGETS_AT_A_TIME + 1,
        "a look-up that no task waited for was skipped"
    );
}

#[tokio::test]
async fn an_answer_is_used_again_for_a_second_and_a_failure_is_not() {
    let slow = slow();
    for _ in 0..3 {
        let error = slow.ask("fast-bad").await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "no such name");
    }
    assert_eq!(slow.asked(), 3);
    slow.ask("fast").await.unwrap().unwrap();
    sleep(REUSE + Duration::from_millis(100)).await;
    slow.ask("fast").await.unwrap().unwrap();
    assert_eq!(slow.asked(), 5, "the answer was too old");
    // Many at once: on a busy machine a pause may fall between some of them, but not between all.
    for user in (0..50).map(|_| slow.ask("fast")).collect::<Vec<_>>() {
        user.await.unwrap().unwrap();
    }
    assert!(slow.asked() < 50, "{}", slow.asked());
}

#[tokio::test]
async fn a_name_without_an_address_is_an_error() {
    let resolver = Resolver::new(|_| async { Ok(Vec::new()) });
    let error = resolver.resolve("empty.example", 1, Class::Own).await;
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn an_address_needs_no_look_up() {
    let resolver = Resolver::new(|name| async move { panic!("{name} was looked up") });
    for (host, expected) in [
        ("127.0.0.1", &["127.0.0.1:7"][..]),
        ("::1", &["[::1]:7"]),
        ("[::1]", &["[::1]:7"]),
        ("fe80::1%3", &["[fe80::1%3]:7"]),
        ("[fe80::1%3]", &["[fe80::1%3]:7"]),
        ("LocalHost", &["[::1]:7", "127.0.0.1:7"]),
    ] {
        let addrs = resolver.resolve(host, 7, Class::Target).await.unwrap();
        let expected: Vec<SocketAddr> = expected.iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(addrs, expected, "{host}");
    }
}

/// The system resolves the number of an interface without a name server.
#[tokio::test]
async fn an_address_with_an_interface_does_not_wait_for_names() {
    let slow = slow();
    let users: Vec<_> = (0..TARGETS_AT_A_TIME)
        .map(|i| slow.ask(&format!("t{i}")))
        .collect();
    while slow.asked() < TARGETS_AT_A_TIME {
        sleep(Duration::from_millis(1)).await;
    }
    let scoped = slow.ask("fe80::1%fast0");
    scoped.await.unwrap().unwrap();
    drop(users);
    #[cfg(target_os = "linux")]
    {
        let addrs = Resolver::system()
            .resolve("fe80::1%lo", 7, Class::Target)
            .await
            .unwrap();
        assert_eq!(addrs, ["[fe80::1%1]:7".parse().unwrap()]);
    }
}
