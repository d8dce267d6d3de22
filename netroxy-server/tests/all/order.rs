//! Users that connect at the same time.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Rig, free_port, lines};

const USERS: u8 = 40;

/// The first byte of each user is its number. All users connect before the first TRQ is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn users_are_served_in_the_order_of_their_arrival() {
    let rig = Rig::start_with(r#""username": "u", "password": "p", "timeout": 30"#).await;
    let mut client = rig.client("n", "u", "p").await;
    let port = free_port();
    client.map(port).await;

    let mut users = Vec::new();
    for _ in 0..USERS {
        users.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    lines(&mut client.control, 2 * usize::from(USERS)).await;
    for (user, number) in users.iter_mut().zip(0..) {
        user.write_all(&[number]).await.unwrap();
    }
    let mut served = Vec::new();
    for _ in 0..USERS {
        let mut data = rig.connect().await;
        let trs = format!("TRS\n{}\n{port}\n", client.token);
        data.write_all(trs.as_bytes()).await.unwrap();
        served.push(data.read_u8().await.unwrap());
    }
    assert_eq!(served, (0..USERS).collect::<Vec<u8>>());
}
