//! The IO that the Netroxy server and client share.
//!
//! The protocol is in `netroxy-proto`: this crate has no logins and no mappings. This page lists the modules in the
//! order in which a program uses them: it starts, opens connections, reads messages and relays bytes.
//!
//! # A program starts
//!
//! * [`program`] runs the work of a program until SIGTERM or SIGINT, and prints the error that ended it. It gives the
//!   version for `--version` and raises the limit of descriptors.
//! * [`log`] writes lines of text or JSON to stderr from a thread of its own. It limits messages that repeat, and
//!   counts the lines that stderr did not take.
//! * [`config_file`] reads a JSON file into a value. It reports all errors at once, each with its line and column, and
//!   warns about unknown keys.
//! * [`check_config`] is the subcommand `check-config`: it reads a configuration file and reports its errors and
//!   warnings. The program does not start.
//! * [`networks`] and [`ports`] are kinds of values of a configuration: IP networks and sets of port numbers.
//! * [`new_files`] creates the files that a command writes: all of them or none. It never replaces a file.
//! * [`hangup`] waits for SIGHUP, the order to read the configuration again.
//! * [`service_manager`] reports to systemd that the program is ready, reloads, stops or still runs.
//! * `local_socket` (Unix) carries the requests of an administrator to a running program, and the answers back. One
//!   connection carries one request.
//!
//! # A connection opens
//!
//! * [`resolve`] finds the addresses of a host name. It bounds how many look-ups run at a time, and shares each look-up
//!   between all tasks that need the same name.
//! * [`listen`] binds ports and accepts connections. A listener can be closed while a task accepts from it, and its
//!   port is free at once.
//! * [`descriptors`] computes how many connections the limit of descriptors allows. It also keeps spare descriptors for
//!   the moment in which no other is left.
//! * [`stream`] is one TCP connection, with or without TLS. It sets the options of the socket, and closes the
//!   connection in order or by a reset after the written bytes have arrived.
//! * [`tls`] sets up the client's side of TLS: which server certificates it accepts, and its own certificate.
//!   [`tls_server`] sets up the server's side: one certificate or several, and whether clients must show one.
//! * [`tls_stream`] carries TLS over a TCP connection. It encrypts and decrypts up to 256 KiB at a time, and an idle
//!   connection holds no buffer.
//!
//! # Messages, then bytes
//!
//! * [`connection`] reads and writes the messages of the protocol on a stream. After the last message it hands over the
//!   stream, and the bytes that it has read beyond that message.
//! * [`deadline`] waits for a deadline. If the program was stopped meanwhile, it waits 100 ms longer, so that the
//!   caller reads what has come.
//! * [`relay`] copies bytes both ways between two streams, with half-closes and resets. Its private module `unsent`
//!   asks the system how many bytes the peer has not acknowledged.
//! * [`throttle`] bounds the bytes per second that several relays carry together.

pub mod check_config;
pub mod config_file;
pub mod connection;
pub mod deadline;
pub mod descriptors;
mod error_text;
pub mod hangup;
pub mod listen;
#[cfg(unix)]
pub mod local_socket;
pub mod log;
pub mod networks;
pub mod new_files;
pub mod ports;
pub mod program;
pub mod relay;
pub mod resolve;
pub mod service_manager;
pub mod stream;
#[cfg(test)]
mod test_tcp;
pub mod throttle;
pub mod tls;
pub mod tls_server;
pub mod tls_stream;
mod unsent;
mod whole_file;
