public import PortcullisCore

/// A place that keys are fetched from, so that they may change while tokens are verified. Nothing in a token ever names one.
public struct KeySource: Hashable, Sendable {
    /// Tells one source from another.
    public let number: Int
    /// The one algorithm that its keys may have; nil for what each key says.
    public let algorithm: Algorithm?

    public init(number: Int, algorithm: Algorithm? = nil) {
        self.number = number
        self.algorithm = algorithm
    }

    /// Whether a key that is still to come could verify that algorithm. A secret is never fetched.
    func mayBring(_ other: Algorithm) -> Bool {
        other.scheme != nil && (algorithm == nil || algorithm == other)
    }
}

/// A key that a token names and its issuer's set lacks, where that set is fetched: it may have come there meanwhile.
public struct UnknownKey: Hashable, Sendable {
    public let source: KeySource
    /// What the token calls it: 1 to 255 bytes, which nobody has verified.
    public let kid: Identifier
}
