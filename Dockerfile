# The course in a container, with the versions of requirements.lock:
#   docker build -t course . && docker run --rm -p 8888:8888 course
# then open the printed address. Nothing is downloaded after the build.
FROM python:3.12-slim

RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /course
COPY requirements.lock .
RUN uv pip install --system --no-cache --compile-bytecode -r requirements.lock
COPY . .
RUN uv pip install --system --no-cache --no-deps -e . \
    && python -m utils.runtime

EXPOSE 8888
CMD ["python", "tools/lab.py", "--ip=0.0.0.0", "--no-browser"]
