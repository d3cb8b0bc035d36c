import Foundation
import PortcullisReactor
import Testing

@Suite struct ListeningSocketTests {
    /// A folder of a test's own for its sockets.
    final class Folder {
        let path: String

        init() throws {
            path = "/tmp/pc-\(UInt32.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        deinit {
            try? FileManager.default.removeItem(atPath: path)
        }

        var socket: Endpoint {
            .unix(path: path + "/s")
        }

        var exists: Bool {
            FileManager.default.fileExists(atPath: path + "/s")
        }
    }

    func failure(_ endpoint: Endpoint, reusePort: Bool = false) -> SocketError? {
        do throws(SocketError) {
            _ = try ListeningSocket(endpoint, reusePort: reusePort)
            return nil
        } catch {
            return error
        }
    }

    @Test func theKernelChoosesAPort() throws {
        let listener = try ListeningSocket(.tcp(address: "127.0.0.1", port: 0))
        guard case .tcp("127.0.0.1", let port) = listener.endpoint else {
            Issue.record("\(listener.endpoint)")
            return
        }
        #expect(port > 0)
        #expect(throws: Never.self) { try BlockingSocket(listener.endpoint, timeout: 5000) }
    }

    @Test func aPortInUse() throws {
        let listener = try ListeningSocket(.tcp(address: "127.0.0.1", port: 0))
        let error = try #require(failure(listener.endpoint))
        #expect(error.isAddressInUse)
        #expect(error.description == "bind \(listener.endpoint): Address already in use")
        listener.close()
        listener.close()
        #expect(failure(listener.endpoint) == nil)
    }

    @Test func aSharedPort() throws {
        let first = try ListeningSocket(.tcp(address: "127.0.0.1", port: 0), reusePort: true)
        #expect(failure(first.endpoint, reusePort: true) == nil)
        #expect(failure(first.endpoint)?.isAddressInUse == true)
    }

    @Test func anAddressThatIsNone() {
        #expect(failure(.tcp(address: "localhost", port: 0))?.errno == EINVAL)
        #expect(failure(.tcp(address: "192.0.2.1", port: 0))?.errno == EADDRNOTAVAIL)
        #expect(failure(.unix(path: "/nowhere/at/all"))?.errno == ENOENT)
    }

    @Test func itsFileGoesWithIt() throws {
        let folder = try Folder()
        var listener: ListeningSocket? = try ListeningSocket(folder.socket)
        #expect(listener?.endpoint == folder.socket)
        #expect(folder.exists)
        #expect(throws: Never.self) { try BlockingSocket(folder.socket, timeout: 5000) }
        listener = nil
        #expect(!folder.exists)
    }

    /// What a process that died left behind is replaced.
    @Test func aStaleFileIsReplaced() throws {
        let folder = try Folder()
        try leaveStaleSocket(folder)
        #expect(folder.exists)
        let listener = try ListeningSocket(folder.socket)
        #expect(throws: Never.self) { try BlockingSocket(folder.socket, timeout: 5000) }
        listener.close()
    }

    /// Binds like a listener that was killed: its descriptor is closed, its file stays.
    func leaveStaleSocket(_ folder: Folder) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array((folder.path + "/s").utf8)) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
    }

    @Test func aLiveOneIsLeftAlone() throws {
        let folder = try Folder()
        let live = try ListeningSocket(folder.socket)
        #expect(failure(folder.socket)?.isAddressInUse == true)
        #expect(throws: Never.self) { try BlockingSocket(folder.socket, timeout: 5000) }
        live.close()
    }

    /// One that lives but is behind with accepting is not waited for, and not taken for dead.
    @Test(.timeLimit(.minutes(1))) func aLiveOneWithAFullBacklog() throws {
        let folder = try Folder()
        let live = try ListeningSocket(folder.socket, backlog: 0)
        let waiting = try BlockingSocket(folder.socket, timeout: 5000)
        #expect(failure(folder.socket)?.isAddressInUse == true)
        #expect(folder.exists)
        live.close()
        try? waiting.write([1])
    }

    @Test func anotherFileIsNotRemoved() throws {
        let folder = try Folder()
        try Data("precious".utf8).write(to: URL(filePath: folder.path + "/s"))
        #expect(failure(folder.socket)?.isAddressInUse == true)
        #expect(try Data(contentsOf: URL(filePath: folder.path + "/s")) == Data("precious".utf8))
    }
}

@Suite struct EndpointTests {
    @Test func descriptions() {
        #expect(Endpoint.tcp(address: "127.0.0.1", port: 80).description == "127.0.0.1:80")
        #expect(Endpoint.tcp(address: "::1", port: 80).description == "[::1]:80")
        #expect(Endpoint.unix(path: "/run/a.sock").description == "unix:/run/a.sock")
    }

    @Test func addressesResolveToThemselves() throws {
        #expect(try Endpoint.resolve(host: "192.0.2.1", port: 5) == [.tcp(address: "192.0.2.1", port: 5)])
        #expect(try Endpoint.resolve(host: "2001:db8::1", port: 5) == [.tcp(address: "2001:db8::1", port: 5)])
        #expect(throws: SocketError.self) { try Endpoint.resolve(host: "no such host", port: 5) }
    }
}
