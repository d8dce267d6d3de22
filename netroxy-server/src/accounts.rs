//! The accounts that may log in, and what each of them may do.

use std::fmt;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use netroxy_net::ports::PortSet;
use netroxy_proto::{Ath, Password, Username};
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user name of a login.
    pub username: Username,
    /// The password of a login, or its hash.
    pub secret: Secret,
    /// The ports that it may map; `None` means those that the whole server allows.
    pub allowed_ports: Option<PortSet>,
    /// The most mappings of one client; `None` means the limit of the whole server.
    pub max_ports: Option<usize>,
    /// The most users of one client, including those that wait; `None` means the limit of the whole server.
    pub max_tunnels: Option<usize>,
}

/// A password, or its hash.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Plain(Password),
    /// The Argon2 hash of the password as a PHC string, which [`hash`] makes.
    Hash(String),
}

/// A hash that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an Argon2 hash that begins with \"$argon2id$\"")]
pub struct InvalidHash;

impl Secret {
    /// Checks a text and takes it as a hash.
    ///
    /// # Errors
    ///
    /// [`InvalidHash`] if the text is not a usable Argon2 hash.
    pub fn hash(text: String) -> Result<Self, InvalidHash> {
        let usable = PasswordHash::new(&text).is_ok_and(|hash| {
            hash.algorithm.as_str().starts_with("argon2")
                && hash.salt.is_some()
                && hash.hash.is_some()
                && argon2::Params::try_from(&hash).is_ok()
        });
        if usable {
            Ok(Self::Hash(text))
        } else {
            Err(InvalidHash)
        }
    }
}

/// The Argon2id hash of a password as a PHC string, with a salt of its own.
///
/// # Errors
///
/// If the system has no random bits or too little memory.
pub fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}

/// All accounts of a server.
#[derive(Debug)]
pub struct Accounts {
    list: Vec<Arc<Account>>,
    /// The hash for logins that name no account with a hash, so that they take as long as other logins;
    /// `None` if no account has a hash.
    decoy: Option<String>,
    /// Permits for computing a hash, which takes a core and 19 MiB for tens of milliseconds.
    at_a_time: Arc<Semaphore>,
}

impl Accounts {
    /// The accounts of a configuration.
    #[must_use]
    pub fn new(list: Vec<Account>) -> Self {
        // A hash of this server, so that it takes the time of the others.
        let decoy = list.iter().find_map(|account| match &account.secret {
            Secret::Hash(hash) => Some(hash.clone()),
            Secret::Plain(_) => None,
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            list: list.into_iter().map(Arc::new).collect(),
            decoy,
            at_a_time: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The account of a login; `None` if its user name or password is wrong. The duration of the check does not
    /// depend on whether the user name exists.
    pub async fn check(&self, ath: &Ath) -> Option<Arc<Account>> {
        let mut found = None;
        // All names are compared, each in constant time.
        for account in &self.list {
            if account
                .username
                .as_bytes()
                .ct_eq(ath.username.as_bytes())
                .into()
            {
                found = Some(account);
            }
        }
        let hash = match found.map(|account| &account.secret) {
            Some(Secret::Hash(hash)) => Some(hash),
            Some(Secret::Plain(_)) | None => self.decoy.as_ref(),
        };
        let hash_fits = match hash {
            Some(hash) => self.fits(&ath.password, hash.clone()).await,
            None => false,
        };
        let password_fits = match found.map(|account| &account.secret) {
            Some(Secret::Hash(_)) => Choice::from(u8::from(hash_fits)),
            Some(Secret::Plain(password)) => password.expose().ct_eq(ath.password.expose()),
            None => Choice::from(0),
        };
        found.filter(|_| password_fits.into()).cloned()
    }

    async fn fits(&self, password: &Password, hash: String) -> bool {
        let Ok(permit) = self.at_a_time.clone().acquire_owned().await else {
            return false;
        };
        let password = password.clone();
        let fits = move || {
            // The closure holds it, because the thread works on if the future is dropped.
            let _permit = permit;
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.expose(), &hash)
                    .is_ok()
            })
        };
        spawn_blocking(fits).await.unwrap_or(false)
    }

    /// Takes all free permits for computing a hash.
    #[cfg(test)]
    pub(crate) async fn all_permits(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.at_a_time.available_permits()).unwrap();
        let permits = self.at_a_time.clone().acquire_many_owned(all);
        permits.await.unwrap()
    }

    /// All accounts, in the order of the file.
    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Arc<Account>] {
        &self.list
    }

    /// The account of a user name. A login must not be checked with it, because it takes less time for some names.
    pub(crate) fn named(&self, username: &Username) -> Option<&Arc<Account>> {
        let mut list = self.list.iter();
        list.find(|account| account.username == *username)
    }

    /// Whether an equal account still exists.
    pub(crate) fn still_has(&self, account: &Account) -> bool {
        self.list.iter().any(|other| **other == *account)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(username: &str, secret: Secret) -> Account {
        Account {
            username: username.to_owned().try_into().unwrap(),
            secret,
            allowed_ports: None,
            max_ports: None,
            max_tunnels: None,
        }
    }

    fn plain(password: &str) -> Secret {
        Secret::Plain(password.to_owned().try_into().unwrap())
    }

    async fn login(accounts: &Accounts, username: &str, password: &str) -> Option<String> {
        let ath = Ath {
            client_name: "n".to_owned().try_into().unwrap(),
            username: username.to_owned().try_into().unwrap(),
            password: password.to_owned().try_into().unwrap(),
        };
        let account = accounts.check(&ath).await?;
        Some(account.username.to_string())
    }

    #[tokio::test]
    async fn each_account_has_its_own_password() {
        let hashed = Secret::hash(hash(b"tulip").unwrap()).unwrap();
        let accounts = Accounts::new(vec![
            account("alice", plain("rose")),
            account("bob", hashed),
        ]);
        for (username, password, right) in [
            ("alice", "rose", true),
            ("bob", "tulip", true),
            ("alice", "tulip", false),
            ("bob", "rose", false),
            ("bob", "", false),
            ("carol", "rose", false),
            ("", "", false),
            ("Alice", "rose", false),
        ] {
            let expected = right.then(|| username.to_owned());
            assert_eq!(
                login(&accounts, username, password).await,
                expected,
                "{username} {password}"
            );
        }
        assert_eq!(
            login(&Accounts::new(Vec::new()), "alice", "rose").await,
            None
        );
    }

    /// Otherwise clients that close their connection during the check could occupy more threads than cores.
    #[test]
    fn a_login_that_is_given_up_holds_its_permit_until_its_hash_is_made() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (work, wait) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let hashed = Secret::hash(hash(b"tulip").unwrap()).unwrap();
            let accounts = Accounts::new(vec![account("bob", hashed)]);
            // The only thread for hashes is busy.
            let busy = spawn_blocking(move || wait.recv());
            let before = accounts.at_a_time.available_permits();
            let given_up = login(&accounts, "bob", "tulip");
            let moment = std::time::Duration::from_millis(10);
            assert!(tokio::time::timeout(moment, given_up).await.is_err());
            assert_eq!(accounts.at_a_time.available_permits(), before - 1);
            drop(work);
            assert!(busy.await.unwrap().is_err());
            let cores = accounts
                .at_a_time
                .clone()
                .acquire_many_owned(u32::try_from(before).unwrap());
            drop(cores.await.unwrap());
        });
    }

    #[test]
    fn a_hash_must_be_an_argon2_hash() {
        let good = hash(b"x").unwrap();
        assert_ne!(good, hash(b"x").unwrap(), "each hash has a salt of its own");
        assert!(good.starts_with("$argon2id$"));
        assert!(Secret::hash(good.clone()).is_ok());
        for bad in [
            "",
            "x",
            "$argon2id$",
            "$2y$10$abc",
            &good[..20],
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        ] {
            assert_eq!(Secret::hash(bad.to_owned()), Err(InvalidHash), "{bad}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let shown = format!("{:?}", account("alice", plain("rose")));
        assert!(
            shown.contains("alice") && !shown.contains("rose"),
            "{shown}"
        );
        assert_eq!(format!("{:?}", plain("rose")), "[redacted]");
    }
}
