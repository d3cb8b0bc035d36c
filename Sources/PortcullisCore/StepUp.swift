/// Which resources need a fresh sign-in (`resources.step_up`).
public struct StepUp: Equatable, Sendable {
    /// Resources, and how old the sign-in may be.
    public struct Rule: Equatable, Sendable {
        public let pattern: ResourcePattern
        public let within: Milliseconds

        public init(_ pattern: ResourcePattern, within: Milliseconds) {
            self.pattern = pattern
            self.within = within
        }
    }

    private let rules: [Rule]

    public init(_ rules: [Rule] = []) {
        self.rules = rules
    }

    /// Whether a credential may enter a resource: on a marked one the user must have signed in within the time of the strictest rule that
    /// names it, and with a second factor where the credential says whether there was one.
    ///
    /// - Parameters:
    ///   - authenticated: when the user signed in (`auth_time`).
    ///   - isMFAVerified: nil where the credential does not say.
    ///   - leeway: how far ahead the clock of whoever wrote the time may be.
    public func admits(
        _ resource: Identifier,
        authenticated: WallTime?,
        isMFAVerified: Bool?,
        now: WallTime,
        leeway: Milliseconds
    ) -> Bool {
        guard let within = within(resource) else { return true }
        guard isMFAVerified != false, let authenticated, authenticated <= now + leeway else { return false }
        return now.since(authenticated) <= within
    }

    /// Whether any rule names the resource.
    public func marks(_ resource: Identifier) -> Bool {
        within(resource) != nil
    }

    private func within(_ resource: Identifier) -> Milliseconds? {
        if rules.isEmpty { return nil }
        return rules.lazy.filter { $0.pattern.matches(resource) }.map(\.within).min()
    }
}

/// The names of resources: a text in which each `*` stands for any number of bytes.
public struct ResourcePattern: Hashable, Sendable {
    private let parts: [[UInt8]]

    public init(_ text: String) {
        parts = text.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map { Array($0) }
    }

    /// Costs at most the pattern's length times the resource's, which is at most 255.
    public func matches(_ resource: Identifier) -> Bool {
        var rest = resource.bytes[...]
        guard let first = parts.first, let last = parts.last, rest.starts(with: first) else { return false }
        guard parts.count > 1 else { return rest.count == first.count }
        rest = rest.dropFirst(first.count)
        // Each part where it first stands: what that leaves is the most that can be left.
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return rest.count >= last.count && rest.suffix(last.count).elementsEqual(last)
    }
}
