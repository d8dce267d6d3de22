//! Network namespaces with `netem`: the kernel makes delay and loss, instead of the relay.
//!
//! The client runs in a namespace of its own. All its packets cross a pair of devices with a delay of 25 ms ± 5 ms and
//! 1 % loss each way.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use tokio::process::Command;

/// A namespace. Dropping this removes it.
#[derive(Debug)]
pub(crate) struct Netem {
    /// Its name.
    pub(crate) namespace: String,
    /// The address of this side, as the client sees it.
    pub(crate) outside: IpAddr,
}

impl Netem {
    /// Makes the namespace and its devices.
    ///
    /// # Errors
    ///
    /// If the user is not root, `ip` or `tc` is missing, or the kernel has no netem.
    pub(crate) async fn up() -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "--netem needs root: it makes a network namespace",
            ));
        }
        // At most 15 bytes: it is also the name of a device.
        let namespace = format!("soak{:x}", fastrand::u32(..));
        let net = fastrand::u8(16..32);
        let host = fastrand::u8(..);
        let address = |last| Ipv4Addr::new(172, net, host, last);
        let inner = format!("{namespace}i");
        ip(&["netns", "add", &namespace]).await?;
        let netem = Self {
            namespace: namespace.clone(),
            outside: IpAddr::V4(address(1)),
        };
        let ns = namespace.as_str();
        ip(&["link", "add", ns, "type", "veth", "peer", "name", &inner]).await?;
        ip(&["link", "set", &inner, "netns", ns]).await?;
        ip(&["addr", "add", &format!("{}/30", address(1)), "dev", ns]).await?;
        ip(&[
            "-n",
            ns,
            "addr",
            "add",
            &format!("{}/30", address(2)),
            "dev",
            &inner,
        ])
        .await?;
        ip(&["link", "set", ns, "up"]).await?;
        ip(&["-n", ns, "link", "set", &inner, "up"]).await?;
        let netem_args = "root netem delay 25ms 5ms loss 1%".split(' ');
        let outer = ["qdisc", "add", "dev", ns];
        tc(outer.into_iter().chain(netem_args.clone()).collect()).await?;
        let inner = ["-n", ns, "qdisc", "add", "dev", &inner];
        tc(inner.into_iter().chain(netem_args).collect()).await?;
        Ok(netem)
    }
}

impl Drop for Netem {
    fn drop(&mut self) {
        // The kernel removes the devices with the namespace.
        let _ = std::process::Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
    }
}

async fn ip(args: &[&str]) -> io::Result<()> {
    command("ip", args, "").await
}

async fn tc(args: Vec<&str>) -> io::Result<()> {
    let hint =
        "; netem needs the kernel module sch_netem; without --netem the relay makes delay and loss";
    command("tc", &args, hint).await
}

async fn command(program: &str, args: &[&str], hint: &str) -> io::Result<()> {
    let done = Command::new(program).args(args).output().await;
    let done = done.map_err(|error| {
        let text = format!("--netem: cannot run '{program}': {error}; it comes with iproute2");
        io::Error::new(error.kind(), text)
    })?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let (args, said) = (args.join(" "), said.trim());
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("--netem: '{program} {args}' fails: {said}{hint}"),
    ))
}
