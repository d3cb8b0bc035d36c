/// What a person types in the terminal client, and what it means.
package enum TypedLine {
    /// What the line means, or a sentence that says what would mean something.
    ///
    /// - Parameters:
    ///   - resource: what the connection is bound to.
    package static func read(
        _ line: String,
        subprotocol: Subprotocol,
        resource: String?
    ) -> Result<ClientMessage?, Misunderstood> {
        if subprotocol == .raw { return .success(.text(line)) }
        guard line.hasPrefix("/") else {
            if line.allSatisfy(\.isWhitespace) { return .success(nil) }
            guard let resource else {
                return .failure("Bound to no resource: say /publish RESOURCE DATA, /join RESOURCE or /leave RESOURCE.")
            }
            return .success(.publish(resource: resource, data: data(line)))
        }
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
        let argument = words.count > 1 ? String(words[1]) : nil
        switch (words.first, argument, words.count) {
        case ("/join", let resource?, 2): return .success(.join(resource: resource))
        case ("/leave", let resource?, 2): return .success(.leave(resource: resource))
        case ("/publish", let resource?, 3): return .success(.publish(resource: resource, data: data(String(words[2]))))
        case ("/say", _?, _) where resource != nil:
            // The way to publish what begins with a slash.
            return .success(.publish(resource: resource ?? "", data: data(String(line.dropFirst(5)))))
        default: return .failure("Commands are /join RESOURCE, /leave RESOURCE, /publish RESOURCE DATA and /say DATA.")
        }
    }

    /// The text as JSON where it is JSON, else as a JSON string.
    private static func data(_ text: String) -> RawJSON {
        RawJSON(text) ?? RawJSON(string: text)
    }

    /// A sentence for the person who typed.
    package struct Misunderstood: Error, Equatable, ExpressibleByStringLiteral {
        package let sentence: String

        package init(stringLiteral value: String) {
            sentence = value
        }
    }
}
