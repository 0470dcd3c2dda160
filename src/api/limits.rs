//! How much one client may ask: token buckets by address, credential and agent.

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::answer::seconds_up;
use crate::config::{RateLimit, RateLimitConfig};
use crate::domain::{AgentId, TokenId};

/// Checks between two clean-ups of a set of buckets. A full bucket is forgotten then, so a set holds
/// no more than this many buckets besides those in use.
const CLEANUP_CHECK_COUNT: u32 = 1024;

/// What a bucket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// An address whose requests carry no valid credentials.
    Ip,
    /// A credential.
    Principal,
    /// An agent's claims, updates and releases.
    AgentMutation,
    /// An agent that opens event streams.
    SseConnect,
}

impl Scope {
    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Principal => "principal",
            Self::AgentMutation => "agent_mutation",
            Self::SseConnect => "sse_connect",
        }
    }
}

/// Whose key a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody's: authentication is off, and only this machine is served.
    Local,
    /// The server's key.
    Key,
    /// An access token.
    Token(TokenId),
}

/// A bucket is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests ({}); wait {retry_after_seconds} s", scope.as_str())]
pub struct Limited {
    /// Which kind of bucket.
    pub scope: Scope,
    /// When it will have a token again, in seconds.
    pub retry_after_seconds: u64,
}

/// Every bucket of the server.
#[derive(Debug)]
pub struct RateLimits {
    config: RateLimitConfig,
    ip: Buckets<IpAddr>,
    principal: Buckets<Principal>,
    agent_mutation: Buckets<AgentId>,
    sse_connect: Buckets<AgentId>,
}

impl RateLimits {
    /// Full buckets, as `config` says. A rate or size of 0 counts as 1: to refuse all is no limit.
    pub fn new(config: &RateLimitConfig) -> Self {
        Self {
            config: config.clone(),
            ip: Buckets::new(Scope::Ip, config.ip),
            principal: Buckets::new(Scope::Principal, config.principal),
            agent_mutation: Buckets::new(Scope::AgentMutation, config.agent_mutations),
            sse_connect: Buckets::new(Scope::SseConnect, config.sse_connect),
        }
    }

    /// What the buckets were made from.
    pub fn config(&self) -> &RateLimitConfig {
        &self.config
    }

    /// Takes a token for a request without valid credentials.
    ///
    /// # Errors
    /// [`Limited`] when there is none; likewise below.
    pub fn ip(&self, address: IpAddr) -> Result<(), Limited> {
        self.take(&self.ip, network(address))
    }

    /// Takes a token for a request with valid credentials.
    pub fn principal(&self, principal: Principal) -> Result<(), Limited> {
        self.take(&self.principal, principal)
    }

    /// Takes a token for a claim, an update or a release.
    pub fn agent_mutation(&self, agent: &AgentId) -> Result<(), Limited> {
        self.take(&self.agent_mutation, agent.clone())
    }

    /// Takes a token for a new event stream of an agent. By agent, not by address: a whole fleet may
    /// stand behind one.
    pub fn sse_connect(&self, agent: &AgentId) -> Result<(), Limited> {
        self.take(&self.sse_connect, agent.clone())
    }

    fn take<K: Hash + Eq + Clone>(&self, buckets: &Buckets<K>, key: K) -> Result<(), Limited> {
        if self.config.enabled { buckets.take(&key) } else { Ok(()) }
    }
}

/// Who shares a bucket: an IPv4 address, or the 2^64 addresses that one IPv6 customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

struct Buckets<K: Hash + Eq + Clone> {
    scope: Scope,
    limiter: DefaultKeyedRateLimiter<K>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(scope: Scope, limit: RateLimit) -> Self {
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(at_least_one(limit.per_minute)).allow_burst(at_least_one(limit.burst));
        Self { scope, limiter: RateLimiter::keyed(quota), checks: AtomicU32::new(0) }
    }

    fn take(&self, key: &K) -> Result<(), Limited> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CLEANUP_CHECK_COUNT == CLEANUP_CHECK_COUNT - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Limited { scope: self.scope, retry_after_seconds: seconds_up(wait) }
        })
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} buckets", self.limiter.len(), self.scope.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(burst: u32) -> RateLimits {
        let limit = RateLimit { per_minute: 1, burst };
        let config = RateLimitConfig {
            enabled: true,
            ip: limit,
            principal: RateLimit { per_minute: 60_000, burst: 6_000 },
            agent_mutations: limit,
            sse_connect: limit,
        };
        RateLimits::new(&config)
    }

    fn agent(name: &str) -> AgentId {
        name.parse().unwrap()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_says_when_to_come_back() {
        let limits = limits(3);
        for _ in 0..3 {
            limits.agent_mutation(&agent("a")).unwrap();
        }
        let limited = limits.agent_mutation(&agent("a")).unwrap_err();
        assert_eq!(limited.scope, Scope::AgentMutation);
        assert!((59..=60).contains(&limited.retry_after_seconds), "{limited}");
        limits.agent_mutation(&agent("b")).unwrap();
    }

    #[test]
    fn fifty_agents_share_one_key_without_meeting_its_limit() {
        let limits = RateLimits::new(&RateLimitConfig::default());
        for name in 0..50 {
            for _ in 0..20 {
                limits.principal(Principal::Key).unwrap();
                limits.agent_mutation(&agent(&name.to_string())).unwrap();
            }
            limits.sse_connect(&agent(&name.to_string())).unwrap();
        }
    }

    #[test]
    fn the_addresses_of_one_ipv6_customer_share_a_bucket() {
        let limits = limits(1);
        limits.ip("2001:db8:1:2::1".parse().unwrap()).unwrap();
        assert_eq!(limits.ip("2001:db8:1:2:ffff::9".parse().unwrap()).unwrap_err().scope, Scope::Ip);
        limits.ip("2001:db8:1:3::1".parse().unwrap()).unwrap();
        limits.ip("10.0.0.1".parse().unwrap()).unwrap();
        assert!(limits.ip("::ffff:10.0.0.1".parse().unwrap()).is_err(), "the same address, mapped");
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        // A bucket is full again a millisecond after its one token was taken.
        let limit = RateLimit { per_minute: 60_000, burst: 1 };
        let buckets = Buckets::new(Scope::Ip, limit);
        for key in 0..100_000_u32 {
            buckets.take(&key).unwrap();
        }
        assert!(buckets.limiter.len() < 50_000, "{} buckets kept", buckets.limiter.len());
    }

    #[test]
    fn no_limit_holds_when_they_are_off() {
        let limits = RateLimits::new(&RateLimitConfig { enabled: false, ..limits(1).config().clone() });
        for _ in 0..10 {
            limits.sse_connect(&agent("a")).unwrap();
        }
    }
}
