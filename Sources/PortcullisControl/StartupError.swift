/// Why something could not start: one sentence for a person, which says what to do.
public struct StartupError: Error, Equatable, CustomStringConvertible {
    /// The sentence.
    public let description: String

    public init(_ sentence: String) {
        self.description = sentence
    }
}
