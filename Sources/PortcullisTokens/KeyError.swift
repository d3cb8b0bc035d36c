/// Why a key cannot be used: one sentence or two for a person, saying what to do. Never contains a part of a secret.
public struct KeyError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
