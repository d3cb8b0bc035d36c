import Foundation

@testable import PortcullisControl

/// HTTP by hand, on TCP and on unix sockets. It blocks.
enum RawHTTP {
    /// Sends a text and reads until the other end closes; nil where there is no connection.
    static func exchange(_ address: ListenAddress, _ text: String) -> String? {
        guard let descriptor = connected(address) else { return nil }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard (try? file.write(contentsOf: Data(text.utf8))) != nil else { return nil }
        return (try? file.readToEnd()).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func connected(_ address: ListenAddress) -> Int32? {
        switch address {
        case .unix(let path):
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            let result = UnixSocket.withAddress(path) { address, length in connect(descriptor, address, length) }
            return result == 0 ? descriptor : nil
        case .tcp(_, let port):
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            return result == 0 ? descriptor : nil
        }
    }
}
