use std::future::pending;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::ServerConfig;

const TRS: &[u8] = b"TRS\ntoken\n7\n";

/// A server that only accepts connections, and the spares of its client, at most 4.
struct Scene {
    listener: TcpListener,
    spares: Spares,
}

impl Scene {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ServerConfig::plain(listener.local_addr().unwrap());
        let names = netroxy_net::resolve::Resolver::system();
        let server = Arc::new(Server::new(config, names, None));
        Self {
            listener,
            spares: Spares::new(server, 4),
        }
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Opens a tunnel for a user: the client's end of the data connection.
    async fn user(&self) -> Stream {
        let token = Token::try_from(b"token".as_slice()).unwrap();
        let pool = self.spares.pool();
        pool.open(7.try_into().unwrap(), &token).await.unwrap()
    }

    async fn until_kept(&self, count: usize) {
        while self.spares.count() != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What arrives on a connection until its end.
async fn all(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn trs(stream: &mut TcpStream) -> bool {
    let mut bytes = vec![0; TRS.len()];
    stream.read_exact(&mut bytes).await.is_ok() && bytes == TRS
}

#[tokio::test]
async fn a_spare_is_opened_after_the_first_user_and_the_second_user_gets_it() {
    let scene = Scene::new().await;
    assert_eq!(scene.spares.count(), 0);
    let first = scene.user().await;
    let mut first_data = scene.accept().await;
    assert!(trs(&mut first_data).await);
    let mut second_data = scene.accept().await;
    scene.until_kept(1).await;
    let second = scene.user().await;
    assert!(trs(&mut second_data).await);
    assert_eq!(
        second.tcp().local_addr().unwrap(),
        second_data.peer_addr().unwrap()
    );
    // Two users within a second.
    scene.until_kept(2).await;
    drop((first, second));
}

#[tokio::test]
async fn nothing_is_sent_on_a_spare_and_it_ends_with_the_login() {
    let scene = Scene::new().await;
    let users = [scene.user().await, scene.user().await, scene.user().await];
    scene.until_kept(3).await;
    let mut spoken = 0;
    let mut silent = Vec::new();
    for _ in 0..6 {
        let mut data = scene.accept().await;
        // The connections of users are opened before their spares.
        if spoken < users.len() {
            assert!(trs(&mut data).await);
            spoken += 1;
        } else {
            silent.push(data);
        }
    }
    scene.spares.end().await;
    for data in silent {
        assert_eq!(all(data).await, b"");
    }
}

#[tokio::test]
async fn no_more_are_kept_than_the_setting_allows() {
    let scene = Scene::new().await;
    let mut users = Vec::new();
    for _ in 0..20 {
        users.push(scene.user().await);
    }
    scene.until_kept(4).await;
    let state = scene.spares.pool.state();
    assert_eq!((state.idle.len(), state.dialling), (4, 0));
}

#[tokio::test]
async fn a_spare_on_which_the_server_has_sent_or_closed_is_not_used() {
    for does in [None, Some("x")] {
        let scene = Scene::new().await;
        let _first = scene.user().await;
        let mut first_data = scene.accept().await;
        assert!(trs(&mut first_data).await);
        let mut spare = scene.accept().await;
        scene.until_kept(1).await;
        match does {
            Some(text) => spare.write_all(text.as_bytes()).await.unwrap(),
            None => spare.shutdown().await.unwrap(),
        }
        // The keeper may have closed it already: then there is none to take.
        let _second = scene.user().await;
        let mut second_data = scene.accept().await;
        assert!(trs(&mut second_data).await, "{does:?}");
        assert_eq!(all(spare).await, b"");
    }
}

#[tokio::test]
async fn the_system_is_asked_whether_a_spare_has_ended_before_it_is_used() {
    let scene = Scene::new().await;
    let mut client = TcpStream::connect(scene.listener.local_addr().unwrap())
        .await
        .unwrap();
    let server = scene.accept().await;
    client.set_nodelay(true).unwrap();
    let mut spare = Spare {
        stream: Stream::Plain(client),
        since: Instant::now(),
    };
    assert!(spare.is_quiet().await);
    drop(server);
    // No other task runs, so the runtime has not seen the end.
    assert!(!spare.is_quiet().await);
    client = match spare.stream {
        Stream::Plain(client) => client,
        Stream::Tls(_) => unreachable!(),
    };
    drop(client);
}

#[tokio::test]
async fn a_client_pauses_if_the_server_closes_each_spare() {
    let mut scene = Scene::new().await;
    let mut accepted = 0;
    let listener = std::mem::replace(
        &mut scene.listener,
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let counting = async {
        loop {
            let (mut data, _) = listener.accept().await.unwrap();
            accepted += 1;
            // A connection on which bytes arrive at once is served, all others are closed.
            let mut first = [0];
            let said = data.peek(&mut first);
            if tokio::time::timeout(Duration::from_millis(20), said)
                .await
                .is_ok()
            {
                assert!(trs(&mut data).await);
            }
        }
    };
    let users = async {
        for _ in 0..30 {
            drop(scene.user().await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::select! {
        () = counting => pending::<()>().await,
        () = users => {}
    }
    // 30 users in 0.9 s, and the spares that were opened before the client saw the first end.
    assert!(accepted <= 30 + 8, "{accepted}");
}

#[test]
fn pauses_grow_until_a_spare_was_good() {
    let (mut pause, start) = (Pause::default(), Instant::now());
    let mut now = start;
    let mut lengths = Vec::new();
    for _ in 0..8 {
        pause.begin(now);
        // A failure within the pause.
        pause.begin(now);
        let until = pause.until.unwrap();
        lengths.push((until - now).as_secs());
        now = until;
    }
    assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60]);
    pause.over();
    pause.begin(now);
    assert_eq!(pause.until, Some(now + FIRST_PAUSE));
}

/// The keeper does not run in this test, so the test decides about the time.
#[tokio::test]
async fn old_spares_are_replaced_before_they_are_closed() {
    let scene = Scene::new().await;
    let pool = scene.spares.pool();
    let start = Instant::now();
    pool.state().demand.user(start);
    let keep_one = |since: Instant| {
        let addr = scene.listener.local_addr().unwrap();
        let tcp = std::net::TcpStream::connect(addr).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let stream = Stream::Plain(TcpStream::from_std(tcp).unwrap());
        pool.state().dialling += 1;
        pool.dialled(since, Ok(stream), since);
    };
    let turn = |after: Duration| {
        let Turn { dial, again } = pool.turn(start + after);
        // The spares are not opened in this test.
        pool.state().dialling = 0;
        (
            pool.state().idle.len(),
            dial,
            again.map(|again| again - start),
        )
    };
    let secs = Duration::from_secs;
    assert_eq!(turn(secs(0)), (0, 1, Some(secs(10))));
    keep_one(start);
    assert_eq!(turn(secs(0)), (1, 0, Some(FRESH)));
    assert_eq!(turn(FRESH), (1, 1, Some(LIFE)));
    keep_one(start + FRESH);
    assert_eq!(turn(FRESH), (2, 0, Some(LIFE)));
    assert_eq!(turn(LIFE), (1, 0, Some(FRESH + FRESH)));
    // No user has connected for a minute.
    assert_eq!(turn(secs(61)), (0, 0, None));

    // While more than half are left, the missing ones are opened a little later, all together.
    let start = start + secs(100);
    for _ in 0..4 {
        pool.state().demand.user(start);
    }
    (0..3).for_each(|_| keep_one(start));
    let at = |after| pool.turn(start + after).dial;
    assert_eq!(at(secs(0)), 0);
    assert_eq!(at(REST / 2), 0);
    assert_eq!(at(REST), 1);
    pool.state().dialling = 0;
    pool.state().idle.pop_front();
    assert_eq!(at(REST), 2);
}
