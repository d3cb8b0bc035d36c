import Foundation
import PortcullisReactor
import Synchronization

/// Ports for servers that must be told theirs.
public enum FreePort {
    private static let given = Mutex<Set<UInt16>>([])

    /// A port of 127.0.0.1 that nobody listens on, and that is given to nobody else of this process.
    ///
    /// It is below those that the kernel gives to whoever asks for none: between the choice and the server's start one of those may become
    /// the near end of any connection.
    public static func take() throws -> UInt16 {
        let own = try? String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
        let lowest = own?.split(whereSeparator: \.isWhitespace).first.flatMap { UInt16($0) } ?? 32_768
        let ports: ClosedRange<UInt16> = lowest > 12_000 ? 10_000...lowest - 1 : 10_000...65_000
        var last: (any Error)?
        for _ in 0..<100 {
            let port = UInt16.random(in: ports)
            guard given.withLock({ $0.insert(port).inserted }) else { continue }
            do {
                try ListeningSocket(.tcp(address: "127.0.0.1", port: port)).close()
                return port
            } catch {
                last = error
            }
        }
        throw last ?? CocoaError(.fileNoSuchFile)
    }
}
