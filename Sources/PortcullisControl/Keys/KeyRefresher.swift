public import Logging
import PortcullisCore
public import PortcullisGate
public import PortcullisTokens
public import ServiceLifecycle
import Synchronization

/// Fetches the key sets that are configured by URL, and hands the gate every change.
public final class KeyRefresher: Service {
    private struct State {
        var policy: TokenPolicy
        var follower: (@Sendable (TokenPolicy) -> Void)?
    }

    private let keepers: [KeySetKeeper]
    private let state: Mutex<State>

    /// - Parameters:
    ///   - tokens: the policy as far as it is known, and the sets that it lacks.
    ///   - directory: where the sets that were fetched last are kept.
    public convenience init(
        _ tokens: LoadedTokens,
        _ settings: KeySettings,
        state directory: StateDirectory,
        logger: Logger
    ) {
        self.init(tokens, settings, state: directory, logger: logger, fetcher: KeyFetcher())
    }

    init(
        _ tokens: LoadedTokens,
        _ settings: KeySettings,
        state directory: StateDirectory,
        logger: Logger,
        fetcher: KeyFetcher
    ) {
        let times = KeyRefreshMachine.Times(
            refresh: settings.refresh.inMilliseconds,
            cooldown: settings.cooldown.inMilliseconds
        )
        let stored = StoredKeySets(directory)
        keepers = tokens.fetched.map { KeySetKeeper($0, times, fetcher: fetcher, stored: stored, logger: logger) }
        state = Mutex(State(policy: tokens.policy))
    }

    /// What verifies tokens, with the keys that are known by now.
    public var policy: TokenPolicy {
        state.withLock { $0.policy }
    }

    /// Fetches every set once. A source that is away, or does not answer in that time, is tried again later.
    public func begin(within: Duration = .seconds(5)) async {
        await withTaskGroup { group in
            for keeper in keepers {
                group.addTask {
                    await keeper.begin(within: within)
                    self.replace(keeper, keeper.keys)
                }
            }
        }
    }

    /// Hands a gate the policy as it is, and every one that comes after.
    public func serve(_ gate: Gate) {
        state.withLock { state in
            state.follower = { [weak gate] policy in gate?.replaceTokens(policy) }
            state.follower?(state.policy)
        }
    }

    /// A gate refused a token whose key may have come meanwhile. It may be called from any thread, and does not wait.
    public func unknownKey(_ unknown: UnknownKey) {
        for keeper in keepers where keeper.fetched.source == unknown.source { keeper.unknownKey(unknown.kid) }
    }

    /// A policy that was loaded anew, with the sets that are fetched already; nil where others are to be fetched, which is for a start.
    func completed(_ tokens: LoadedTokens) -> TokenPolicy? {
        let same = tokens.fetched.elementsEqual(keepers) { $0.url == $1.fetched.url && $0.source == $1.fetched.source }
        guard same else { return nil }
        return keepers.reduce(tokens.policy) { $0.replacing(keysOf: $1.fetched.source, with: $1.keys) }
    }

    /// Takes a policy that was loaded anew and hands it to the gate.
    func replace(_ tokens: LoadedTokens) {
        state.withLock { state in
            // Completed here: a set may have come since.
            guard let policy = completed(tokens) else { return }
            state.policy = policy
            state.follower?(policy)
        }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                for keeper in self.keepers {
                    group.addTask { await keeper.run { self.replace(keeper, $0) } }
                }
            }
        }
    }

    private func replace(_ keeper: KeySetKeeper, _ keys: KeySet) {
        state.withLock { state in
            state.policy = state.policy.replacing(keysOf: keeper.fetched.source, with: keys)
            state.follower?(state.policy)
        }
    }
}
