import PortcullisReactor

/// Ports for servers that must be told theirs.
public enum FreePort {
    /// A port of 127.0.0.1 that nobody had a moment ago.
    public static func take() throws -> UInt16 {
        let socket = try ListeningSocket(.tcp(address: "127.0.0.1", port: 0))
        defer { socket.close() }
        guard case .tcp(_, let port) = socket.endpoint else { return 0 }
        return port
    }
}
