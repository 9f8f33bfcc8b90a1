import sys, grpc, concurrent.futures as f

sys.path.insert(0, sys.argv[1])
import shop_pb2 as p, shop_pb2_grpc as g


class Shop(g.ShopServicer):
    def Buy(self, request, context):
        if request.count < 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "count: below 0 %")
        return p.Receipt(text="thanks", total=request.count * 1.5)

    def Watch(self, request, context):
        for n in range(request.count):
            yield p.Receipt(text=f"part {n}")


s = grpc.server(f.ThreadPoolExecutor(2), compression=grpc.Compression.Gzip)
g.add_ShopServicer_to_server(Shop(), s)
s.add_insecure_port("192.0.2.10:7063")
read = lambda name: open(name, "rb").read()
s.add_secure_port("192.0.2.10:7064", grpc.ssl_server_credentials([(read(sys.argv[3]), read(sys.argv[2]))]))
s.start()
s.wait_for_termination()
