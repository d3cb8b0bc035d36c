public import PortcullisTokens

/// What verifies tokens as far as files say it, and what is still to be fetched.
public struct LoadedTokens: Sendable {
    public let policy: TokenPolicy
    /// The sets that the policy lacks: the issuers of their sources have no key yet.
    public let fetched: [FetchedKeySet]
}

/// A key set that is fetched.
public struct FetchedKeySet: Sendable {
    public let source: KeySource
    public let url: KeySetURL
}

/// The keys of an issuer could not be fetched: one sentence for a person.
public struct KeysUnavailable: Error, CustomStringConvertible {
    public let description: String

    init(_ sentence: String) {
        description = sentence
    }
}
