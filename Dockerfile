FROM python:3.13-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir . && useradd --system dits && mkdir /data && chown dits /data
USER dits
ENV DITS_DATA_DIR=/data
ENTRYPOINT ["dits-server"]
