import COpenSSL

/// What OpenSSL could not do, with its own words. Never contains a part of a key or a message.
public struct CryptoError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was tried, and why it failed where OpenSSL said so.
    public let description: String

    init(_ what: String) {
        self.description = what
    }

    /// Empties the calling thread's error queue into a value, so that no later caller finds what it did not cause.
    static func drained(_ what: String) -> CryptoError {
        var reason = ""
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            // The first error is the one nearest to the cause; its text is a static string of OpenSSL's, or none.
            if reason.isEmpty, let text = ERR_reason_error_string(code) { reason = String(cString: text) }
        }
        return CryptoError(reason.isEmpty ? what : "\(what): \(reason)")
    }
}
